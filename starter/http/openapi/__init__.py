"""The OpenAPI document, made from the contract's models."""
