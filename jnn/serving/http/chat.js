"use strict";
const at = (id) => document.getElementById(id);
const settings = JSON.parse(document.body.dataset.settings);
const said = []; // {role, content}, as the server is told them
let running = null; // what stops the answer that is being written

at("name").textContent = settings.model;
at("empty").textContent = settings.chats
  ? "Say something, and the model answers."
  : "This model goes on with a text: write its beginning.";
at("token").value = sessionStorage.getItem("token") ?? "";

function show(role) {
  const item = at("talk").appendChild(document.createElement("li"));
  item.className = role;
  const who = item.appendChild(document.createElement("span"));
  who.className = "who";
  who.textContent = role === "user" ? "You" : settings.model;
  const words = item.appendChild(document.createElement("div"));
  words.className = "words";
  at("empty").hidden = true;
  return { item, words };
}

// text alone, never markup; what stands between fences is code
function write(words, text) {
  const parts = text.split(/^ *```[^\n]*\n?/m);
  words.replaceChildren(...parts.map((part, i) => {
    if (i % 2 === 0) return document.createTextNode(i ? part.replace(/^\n/, "") : part);
    const code = document.createElement("pre");
    code.tabIndex = 0;
    code.textContent = part.replace(/\n$/, "");
    return code;
  }));
}

function note(item, text) {
  const line = item.appendChild(document.createElement("p"));
  line.className = "note";
  line.textContent = text;
}

function follow(change) {
  const box = at("scroll");
  const below = box.scrollHeight - box.scrollTop - box.clientHeight;
  change();
  if (below < 60) box.scrollTop = box.scrollHeight;
}

function busy(is) {
  at("send").hidden = is;
  at("stop").hidden = !is;
  at("new").disabled = is;
  at("state").textContent = is ? "The model is writing." : "The answer is complete.";
}

function fail(text) {
  follow(() => {
    at("problem").hidden = false;
    at("problem").firstElementChild.textContent = text;
  });
  at("scroll").scrollTop = at("scroll").scrollHeight;
}

function body() {
  const common = {
    model: settings.model, stream: true, stream_options: { include_usage: true },
    temperature: Number(at("temperature").value),
    ...(at("tokens").value ? { max_tokens: Number(at("tokens").value) } : {}),
  };
  if (!settings.chats) return { ...common, prompt: said.map((one) => one.content).join("") };
  const system = at("system").value.trim();
  return { ...common, messages: [...(system ? [{ role: "system", content: system }] : []), ...said] };
}

// what the server says, event by event
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The connection ended in the middle of the answer.");
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const event of whole) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const content = JSON.parse(data);
      if (content.error) throw new Error(content.error.message);
      yield content;
    }
  }
}

async function request(signal) {
  const token = at("token").value;
  const path = settings.chats ? "/v1/chat/completions" : "/v1/completions";
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body()), signal });
  if (response.ok) return response;
  const error = (await response.json().catch(() => null))?.error ?? { message: `The server answered ${response.status}.` };
  if (response.status === 401) {
    options(true, "token");
    throw new Error("This server asks for an access token. Type it under Options, and try again.");
  }
  const advice = error.code === "context_length_exceeded" ? " Or begin a new chat." : "";
  throw new Error(error.message + advice);
}

async function answer() {
  at("problem").hidden = true;
  running = new AbortController();
  busy(true);
  const { item, words } = show("assistant");
  at("scroll").scrollTop = at("scroll").scrollHeight;
  item.classList.add("waits");
  let text = "", ending = "", begun = performance.now(), problem = "";
  try {
    for await (const { choices, usage } of events(await request(running.signal))) {
      const choice = choices[0];
      if (choice?.finish_reason === "length") ending = "Ended at the limit of tokens";
      text += choice?.delta?.content ?? choice?.text ?? "";
      follow(() => write(words, text));
      if (usage) {
        const speed = usage.completion_tokens / ((performance.now() - begun) / 1000);
        ending = [ending, `${usage.completion_tokens} tokens, ${speed.toFixed(1)} a second`].filter(Boolean).join(" · ");
      }
    }
  } catch (error) {
    if (error.name === "AbortError") ending = "Stopped";
    else problem = error instanceof TypeError ? "The server cannot be reached. Is it still running?" : error.message;
  }
  running = null;
  item.classList.remove("waits");
  if (problem && !text) item.remove();
  if (text || !problem) follow(() => note(item, ending || "Cut off"));
  if (text && !problem) said.push({ role: "assistant", content: text });
  if (!text && !problem && ending === "Stopped") said.pop(); // it was never answered
  busy(false);
  if (problem) fail(problem);
  if (at("options").hidden) at("text").focus();
}

function options(open, focus) {
  at("options").hidden = !open;
  at("options-button").setAttribute("aria-expanded", String(open));
  if (open) at(focus ?? "system").focus();
}

function fit() {
  const box = at("text");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!text || running) return;
  if (!at("options").reportValidity()) return options(true, "temperature");
  said.push({ role: "user", content: text });
  write(show("user").words, text);
  at("text").value = "";
  fit();
  answer();
});
at("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("ask").requestSubmit();
});
at("text").addEventListener("input", fit);
at("options").addEventListener("submit", (event) => event.preventDefault());
at("options-button").addEventListener("click", () => options(at("options").hidden));
at("token").addEventListener("input", () => sessionStorage.setItem("token", at("token").value));
at("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
at("again").addEventListener("click", () => {
  if (running || said.at(-1)?.role !== "user") return;
  for (const item of at("talk").querySelectorAll("li.assistant:last-child")) item.remove();
  answer();
});
at("new").addEventListener("click", () => {
  said.length = 0;
  at("talk").replaceChildren();
  at("problem").hidden = true;
  at("empty").hidden = false;
  at("text").focus();
});
