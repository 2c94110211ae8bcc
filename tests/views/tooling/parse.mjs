// Reads Mermaid texts, as a JSON list on standard input, with the real parser and layout-free renderer database;
// prints for each either the labels of its vertices or {"error": ...}.
import { JSDOM } from "jsdom";

const dom = new JSDOM("<!DOCTYPE html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
const { default: mermaid } = await import("mermaid");
mermaid.initialize({ startOnLoad: false });

let input = "";
for await (const chunk of process.stdin) input += chunk;
const results = [];
for (const text of JSON.parse(input)) {
  try {
    const diagram = await mermaid.mermaidAPI.getDiagramFromText(text);
    const labels = {};
    for (const [id, vertex] of diagram.db.getVertices()) labels[id] = vertex.text ?? id;
    results.push({ labels, edges: diagram.db.getEdges().length });
  } catch (error) {
    results.push({ error: String(error.message ?? error) });
  }
}
console.log(JSON.stringify(results));
