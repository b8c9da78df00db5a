// Sends what is written to the address above this page and shows what comes back.
const $ = (id) => document.getElementById(id);
const endpoint = new URL("..", location.href).pathname.replace(/\/$/, "");

function json(id) {
  const text = $(id).value.trim();
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Error(`${id}: ${err.message}`);
  }
}

async function run() {
  $("status").textContent = "";
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { ...json("headers"), "Content-Type": "application/json", Accept: "application/graphql-response+json, application/json" },
      body: JSON.stringify({ query: $("query").value, variables: json("variables") }),
    });
    const text = await response.text();
    $("status").textContent = `${response.status} ${response.statusText}`;
    try {
      $("result").textContent = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      $("result").textContent = text;
    }
  } catch (err) {
    $("result").textContent = err.message;
  }
}

$("request").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
