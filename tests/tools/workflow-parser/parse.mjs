import { readFileSync } from "node:fs";
import { register } from "node:module";

// The parser imports its schema as JSON without saying so, which Node 18 and newer refuse.
const hook = `
import { readFile } from "node:fs/promises";
export async function load(url, context, next) {
  return url.endsWith(".json")
    ? { format: "json", shortCircuit: true, source: await readFile(new URL(url)) }
    : next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = await import("@actions/workflow-parser");

let found = 0;
for (const path of process.argv.slice(2)) {
  const file = { name: path, content: readFileSync(path, "utf8") };
  const { context, value } = parseWorkflow(file, new NoOperationTraceWriter());
  if (value) await convertWorkflowTemplate(context, value);
  for (const error of context.errors.getErrors()) {
    console.log(`${path}: ${error.message}`);
    found += 1;
  }
}
process.exitCode = found ? 1 : 0;
