/** An event of a stream, without its `id`, which its data repeats. A comment is an event without a name. */
export interface StreamEvent {
  name: string;
  data: string;
}

/**
 * Reads Server-Sent Events, and yields each once it is complete.
 *
 * `EventSource` cannot be used: it sends no `Authorization`.
 */
export async function* readEvents(chunks: AsyncIterable<string>): AsyncGenerator<StreamEvent, void, void> {
  let rest = "";
  let lines: string[] = [];
  for await (const chunk of chunks) {
    const read = (rest + chunk).split("\n");
    rest = read.pop()!;
    for (const line of read) {
      const text = line.endsWith("\r") ? line.slice(0, -1) : line;
      if (text !== "") {
        lines.push(text);
      } else if (lines.length > 0) {
        yield readEvent(lines);
        lines = [];
      }
    }
  }
}

function readEvent(lines: readonly string[]): StreamEvent {
  let name = "";
  const data: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (line.startsWith("event:")) name = value;
    else if (line.startsWith("data:")) data.push(value);
  }
  return { name, data: data.join("\n") };
}
