"use strict";
const form = document.getElementById("form");
const answer = document.getElementById("answer");
const button = form.querySelector("button");
const fields = [...form.querySelectorAll("[data-column]")];
const address = new URL("predict", location.href);

// Whatever the service says becomes text, never markup.
function made(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  element.append(...children);
  return element;
}

function valueOf(field) {
  if (field.value === "") return null;
  const type = field.dataset.type;
  if (type === "number" || type === "integer") return Number(field.value);
  return type === "boolean" ? field.value === "true" : field.value;
}

function asked() {
  return JSON.stringify({records: [Object.fromEntries(fields.map((field) => [field.dataset.column, valueOf(field)]))]});
}

function showCommand() {
  const body = asked().replaceAll("'", "\\u0027");
  document.getElementById("request").textContent = `curl --json '${body}' ${address}`;
}

function rounded(number) {
  return String(Number(number.toPrecision(6)));
}

function table(titles, rows) {
  const head = made("tr", null, ...titles.map((title) => made("th", title)));
  const body = rows.map((cells) => made("tr", null, ...cells));
  return made("table", null, made("thead", null, head), made("tbody", null, ...body));
}

function shares(probabilities) {
  const rows = Object.entries(probabilities).sort((one, other) => other[1] - one[1]).map(([label, share]) => {
    const bar = document.createElement("progress");
    bar.value = share;
    bar.setAttribute("aria-hidden", "true");
    return [made("td", label), made("td", null, bar, rounded(share))];
  });
  return [made("h3", "Probabilities"), table(["Class", "Probability"], rows)];
}

function explained(found) {
  const rows = Object.entries(found.contributions).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const cells = rows.map(([column, share]) => [made("td", column), made("td", (share > 0 ? "+" : "") + rounded(share))]);
  const said = `${rounded(found.baseline)} for the average row, plus these, is ${rounded(found.value)}`
    + ` (${found.unit}${found.unit === found.output ? "" : ` of ${found.output}`}, ${found.method}).`;
  return [made("h3", "What each column contributed"), made("p", said), table(["Column", "Contribution"], cells)];
}

function showPrediction(said) {
  const found = said.predictions[0];
  const shown = typeof found.prediction === "number" ? rounded(found.prediction) : found.prediction;
  const line = made("p", shown);
  line.className = "prediction";
  const parts = [made("h2", "Prediction"), line];
  if (found.probabilities) parts.push(...shares(found.probabilities));
  if (found.notes) {
    parts.push(made("h3", "Unlike training"), made("ul", null, ...found.notes.map((note) => made("li", note))));
  }
  if (found.explanation) parts.push(...explained(found.explanation));
  answer.replaceChildren(...parts);
}

function showError(message, details) {
  const line = made("p", message);
  line.className = "error";
  answer.replaceChildren(made("h2", "No prediction"), line);
  const bad = fields.filter((field) => details.some((detail) => detail.column === field.dataset.column));
  for (const field of bad) field.setAttribute("aria-invalid", "true");
  if (bad.length) bad[0].focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  for (const field of fields) field.removeAttribute("aria-invalid");
  try {
    if (document.getElementById("explain")?.checked) address.searchParams.set("explain", "true");
    else address.searchParams.delete("explain");
    showCommand();
    const answered = await fetch(address, {method: "POST", headers: {"content-type": "application/json"}, body: asked()});
    const said = await answered.json();
    if (answered.ok) showPrediction(said);
    else showError(said.error, said.details ?? []);
  } catch (error) {
    showError(`The service did not answer (${error.message}).`, []);
  } finally {
    button.disabled = false;
    answer.hidden = false;
    answer.scrollIntoView({block: "nearest"});
  }
});
form.addEventListener("input", showCommand);
form.addEventListener("reset", () => {
  answer.hidden = true;
  setTimeout(showCommand);
});
showCommand();
