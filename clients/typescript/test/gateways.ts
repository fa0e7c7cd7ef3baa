/** Gateways as real processes, which a test may kill, and a proxy between a caller and a gateway. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";

// The Python test that runs these tests has started everything else, and passes its addresses.
export const TENANT = process.env["TEST_TENANT"]!;
const JOURNEY = process.env["TEST_JOURNEY"]!;
const SECRET = process.env["SUPABASE_JWT_SECRET"]!;

export class Gateway {
  private constructor(
    readonly url: string,
    private readonly process: ChildProcess,
  ) {}

  static async start(address = "127.0.0.1:0"): Promise<Gateway> {
    const env = { ...process.env, JOURNEY_HTTP_ADDRESS: address };
    const started = spawn(JOURNEY, ["gateway"], { env, stdio: ["ignore", "ignore", "pipe"] });
    for await (const line of createInterface(started.stderr)) {
      const said = JSON.parse(line) as { event: string; url: string };
      if (said.event === "serving") {
        started.stderr.resume();
        return new Gateway(said.url, started);
      }
    }
    throw new Error("the gateway has not started");
  }

  async kill(): Promise<void> {
    const exit = once(this.process, "exit");
    if (this.process.kill("SIGKILL")) await exit;
  }

  async restart(): Promise<Gateway> {
    return Gateway.start(new URL(this.url).host);
  }
}

/** What happens to a request: its answer is lost, breaks off, does not come, or is that of an outage. */
export type Mishap = "lost" | "broken off" | "silent" | "outage";

/** Passes requests on to a gateway, and lets mishaps happen to the next ones. */
export class Proxy {
  readonly mishaps: Mishap[] = [];
  readonly keys: (string | undefined)[] = [];
  readonly #server: Server;

  constructor(private readonly gateway: string) {
    this.#server = createServer((asked, answer) => void this.#pass(asked, answer));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const mishap = this.mishaps.shift();
    const body = Buffer.concat(await asked.toArray());
    const key = asked.headers["idempotency-key"];
    this.keys.push(key === undefined && body.length > 0 ? JSON.parse(body.toString()).idempotency_key : String(key));
    if (mishap === "silent") return;
    if (mishap === "outage") {
      const problem = { code: "DATABASE_UNAVAILABLE", detail: "", status: 503, field: "", outcome: "not accepted" };
      answer.writeHead(503, { "retry-after": "1" }).end(JSON.stringify(problem));
      return;
    }
    const passed = request(this.gateway + asked.url, { method: asked.method!, headers: asked.headers }).end(body);
    const [answered] = (await once(passed, "response")) as [IncomingMessage];
    const content = Buffer.concat(await answered.toArray());
    if (mishap === "lost") {
      answer.destroy();
    } else {
      answer.writeHead(answered.statusCode!, answered.headers);
      if (mishap === "broken off") answer.write(content.subarray(0, 20), () => answer.destroy());
      else answer.end(content);
    }
  }
}

export function userToken(user: string, secondsLeft = 600): string {
  return sign({ role: "authenticated", aud: "authenticated", sub: user, app_metadata: { tenant_id: TENANT } }, secondsLeft);
}

export function serviceToken(): string {
  return sign({ role: "service_role", iss: "supabase" }, 600);
}

function sign(claims: object, secondsLeft: number): string {
  const exp = Math.floor(Date.now() / 1000) + secondsLeft;
  const text = [{ alg: "HS256", typ: "JWT" }, { ...claims, exp }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}
