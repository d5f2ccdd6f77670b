// Copyright (c) 2026, dgxspark.suite contributors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The page of control. docs/contracts/control_api.md has what it reads. It shows what the API reports and nothing else;
// texts of nodes, models and people become text nodes only. This file is also the shared worker: browsers allow six
// connections to a server for all tabs together, so that one worker has the streams of all of them.

const NAMES = ["status", "job", "outage", "phase", "task", "lines", "failed", "end"];

// ---------------------------------------------------------------------------------------------------------------
// Streams. A hub has one connection for each path, however many subscribers there are.

class Hub {
  #streams = new Map();

  // send: called with {path, link} when the connection opens or is lost, and with {path, name, data, id}.
  add(path, send) {
    const stream = this.#streams.get(path) ?? { source: null, over: false, open: false, sends: new Set(), past: [], timer: 0 };
    this.#streams.set(path, stream);
    stream.sends.add(send);
    for (const message of stream.past) send(message);
    if (stream.open) send({ path, link: "open" });
    if (!stream.source && !stream.over) this.#connect(path, stream);
  }

  drop(path, send) {
    const stream = this.#streams.get(path);
    if (!stream?.sends.delete(send) || stream.sends.size) return;
    clearTimeout(stream.timer);
    stream.source?.close();
    this.#streams.delete(path);
  }

  dropAll(send) {
    for (const path of [...this.#streams.keys()]) this.drop(path, send);
  }

  again(path) {
    const stream = this.#streams.get(path);
    if (!stream || stream.open || stream.over) return;
    clearTimeout(stream.timer);
    stream.source?.close();
    this.#connect(path, stream);
  }

  #connect(path, stream) {
    const publish = (message) => stream.sends.forEach((send) => send({ path, ...message }));
    const source = (stream.source = new EventSource(path));
    source.onopen = () => {
      stream.open = true;
      publish({ link: "open" });
    };
    source.onerror = () => {
      stream.open = false;
      publish({ link: "lost" });
      // After an answer that is no stream the browser gives up; after a lost connection it comes back by itself,
      // with the number of the last event.
      if (source.readyState === EventSource.CLOSED) {
        stream.past = [];
        stream.timer = setTimeout(() => this.#connect(path, stream), 3000);
      }
    };
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        const message = { path, name, id: event.lastEventId, data: JSON.parse(event.data) };
        // A later subscriber of a job gets what came before.
        if (path !== "/api/events") stream.past.push(message);
        publish(message);
        if (name === "end") {
          stream.over = true;
          source.close();
        }
      });
    }
  }
}

function serveTabs() {
  const hub = new Hub();
  self.onconnect = ({ ports: [port] }) => {
    const send = (message) => port.postMessage(message);
    port.onmessage = ({ data: { ask, path } }) => {
      if (ask === "add") hub.add(path, send);
      if (ask === "drop") hub.drop(path, send);
      if (ask === "again") hub.again(path);
      if (ask === "bye") hub.dropAll(send);
    };
  };
}

function connectHub(onMessage) {
  if (typeof SharedWorker === "function") {
    const { port } = new SharedWorker("app.mjs", { type: "module", name: "control" });
    port.onmessage = ({ data }) => onMessage(data);
    return (ask, path) => port.postMessage({ ask, path });
  }
  const hub = new Hub();
  return (ask, path) => {
    if (ask === "add") hub.add(path, onMessage);
    if (ask === "drop") hub.drop(path, onMessage);
    if (ask === "again") hub.again(path);
    if (ask === "bye") hub.dropAll(onMessage);
  };
}

// ---------------------------------------------------------------------------------------------------------------
// Elements. h("p.soft", {title: "…"}, "text", element): a text is a text node, whatever it has.

function h(what, ...rest) {
  const [name, ...classes] = what.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  const props = rest.length && isProps(rest[0]) ? rest.shift() : {};
  for (const [key, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...rest.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const isProps = (value) => value !== null && typeof value === "object" && !(value instanceof Node) && !Array.isArray(value);

// Make the children of an element be these. What stays the same remains the same element: with the focus, the
// selection, what was typed, and what was opened.
function patch(parent, wanted) {
  const keyed = new Map();
  for (const child of [...parent.children].reverse()) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let at = parent.firstChild;
  for (const node of wanted) {
    const key = node.dataset?.key;
    const match = key ? keyed.get(key) : at && !at.dataset?.key && at.nodeName === node.nodeName ? at : null;
    if (!match || match.nodeName !== node.nodeName) {
      parent.insertBefore(node, at);
      continue;
    }
    keyed.delete(key);
    if (match === at) at = at.nextSibling;
    else parent.insertBefore(match, at);
    become(match, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function become(old, node) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    // What a person has opened, and whether a log follows its end.
    if (!node.hasAttribute(name) && name !== "open" && name !== "data-end") old.removeAttribute(name);
  }
  patch(old, [...node.childNodes]);
}

// ---------------------------------------------------------------------------------------------------------------
// Values as text.

// The server's clock less ours, in milliseconds: ages are by its clock.
let skew = 0;
const now = () => Date.now() + skew;
const moment = (value) => (typeof value === "number" ? value * 1000 : Date.parse(value));

function none() {
  return h("span.soft.nil", h("span", { "aria-hidden": "true" }, "–"), h("span.sr", "not reported"));
}

const shown = (value) => (value === null || value === undefined || value === "" ? none() : String(value));

function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 0) return span(-seconds);
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// One unit only: an age need not be exact.
function about(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size || (seconds >= size && unit !== "min")) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return seconds >= 60 ? "1 min" : `${Math.max(0, Math.round(seconds))} s`;
}

const age = (value) => (now() - moment(value)) / 1000;

function time(value, text) {
  const at = new Date(moment(value));
  if (Number.isNaN(at.getTime())) return none();
  return h("time", { datetime: at.toISOString(), title: at.toLocaleString() }, text ?? clock(at));
}

function ago(value, word = "ago") {
  if (value === null || value === undefined || value === "") return none();
  return time(value, `${about(age(value))}${word ? ` ${word}` : ""}`);
}

function clock(at) {
  const today = new Date(now()).toDateString() === at.toDateString();
  const hour = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? hour : `${at.toLocaleDateString([], { day: "numeric", month: "short" })}, ${hour}`;
}

function bytes(value) {
  if (!Number.isFinite(value)) return none();
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const context = (tokens) => (Number.isFinite(tokens) ? (tokens >= 1024 ? `${Math.round(tokens / 1024)}k context` : `${tokens} tokens`) : "");
const list = (names) => new Intl.ListFormat("en").format(names ?? []);
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
const tally = (values) => values.reduce((sum, value) => ({ ...sum, [value]: (sum[value] ?? 0) + 1 }), {});

const STYLES = {
  up: "ok", succeeded: "ok", ready: "ok", served: "ok", ok: "ok", complete: "ok", fixed: "info",
  busy: "info", running: "info", downloading: "info", "needs setup": "info",
  suspect: "warn", drift: "warn", rolled_back: "warn", incomplete: "warn", cancelled: "warn", tight: "warn",
  down: "bad", failed: "bad", blocked: "bad", lost: "bad", unreachable: "bad", interrupted: "bad", accepted: "accepted",
};

const badge = (word, text) => h(`span.state.${STYLES[word] ?? "none"}`, (text ?? word).replaceAll("_", " "));
const button = (act, text, data = {}, style = "") =>
  h(`button${style}`, { type: "button", "data-act": act, ...Object.fromEntries(Object.entries(data).map(([k, v]) => [`data-${k}`, v])) }, text);
const facts = (pairs, row = false) =>
  h(`dl.facts${row ? ".row" : ""}`, pairs.filter(Boolean).map(([term, ...value]) => {
    const pair = [h("dt", term), h("dd", value)];
    return row ? h("div", pair) : pair;
  }));
const command = (text) =>
  h("div.copy", h("pre", h("code", text)), button("copy", "Copy", { text, "label": "the command" }, ".quiet"));
const head = (id, title, note, ...acts) =>
  h("div.head", h("h2", { id: `${id}-title` }, title), h("span.soft.small.fade", note), acts.some(Boolean) && h("div.acts", acts));

// ---------------------------------------------------------------------------------------------------------------
// What is known, and how it comes.

const LISTS = ["models", "recipes", "swap", "health", "outages", "drift", "schedule", "access", "jobs"];
const CHANGES = ["swap", "stop", "start", "restart", "update", "reapply"];
const PHASES = ["lock", "preflight", "model", "image", "prepare", "swap", "finalize"];
const state = {
  status: null,
  lists: {},
  problems: {},
  jobs: new Map(),
  lines: new Map(),
  opened: new Set(),
  link: "none",
  dismissed: new Set(),
  filter: "",
  // A worker has neither storage.
  token: globalThis.sessionStorage?.getItem("lock-token") ?? "",
  owner: globalThis.localStorage?.getItem("owner") ?? "",
};

class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    Object.assign(this, { status, problem });
  }
}

async function api(method, path, body, headers = {}) {
  const asked = { method, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    asked.body = JSON.stringify(body);
    asked.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, asked);
  } catch {
    throw new Refusal(0, { code: "no_answer", detail: "Control does not answer.", hint: "Is it running? systemctl status dgxspark-control" });
  }
  const date = Date.parse(answer.headers.get("date") ?? "");
  // The header has whole seconds.
  if (Number.isFinite(date) && Math.abs(date - now()) > 2000) skew = date - Date.now();
  const text = await answer.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = null;
  }
  if (!answer.ok) {
    const refusal = new Refusal(answer.status, content ?? {});
    if (refusal.problem.code === "token_required" && path !== "/api/access") signIn();
    throw refusal;
  }
  return content;
}

async function load(name) {
  try {
    const content = await api("GET", `/api/${name}`);
    delete state.problems[name];
    if (name === "status") merge(content);
    else if (name === "jobs") content.jobs.forEach(note);
    else state.lists[name] = content;
  } catch (refusal) {
    state.problems[name] = refusal.problem ?? { detail: String(refusal) };
    if (refusal.status === 503) later(name, 10000);
  }
  draw();
}

const waits = new Map();
function later(name, delay = 300) {
  clearTimeout(waits.get(name));
  waits.set(name, setTimeout(() => load(name), delay));
}

function loadAll() {
  load("status");
  LISTS.forEach((name) => load(name));
}

function merge(part) {
  const before = state.status;
  state.status = { ...before, ...part };
  (part.jobs ?? []).forEach(note);
  if (before && part.facts_at && part.facts_at !== before.facts_at) ["swap", "health", "models", "recipes", "drift"].forEach((name) => later(name));
  if (before && part.schedule) later("schedule");
}

const ended = new Map();
function note(job) {
  const known = state.jobs.get(job.id);
  state.jobs.set(job.id, { ...known, ...job, lines: job.lines?.length ? job.lines : (known?.lines ?? []) });
  if (job.state === "running") {
    if (known && known.phase !== job.phase && job.phase && CHANGES.includes(job.kind)) say(`${title(job)}: ${job.phase}`);
    return;
  }
  ended.get(job.id)?.(job);
  if (known?.state !== "running") return;
  say(`${title(job)}: ${job.state}${job.why ? `. ${job.why}` : ""}`);
  if (["rescan", "download", "delete", "setup"].includes(job.kind)) ["models", "recipes"].forEach((name) => later(name));
  if (job.kind === "drift" || job.kind === "health") later(job.kind);
  if (CHANGES.includes(job.kind)) later("swap");
  if (["announce", "cancel"].includes(job.kind)) later("schedule");
}

// The job, once it has ended, with its lines and its result.
async function outcome(id) {
  if ((state.jobs.get(id)?.state ?? "running") === "running") {
    await new Promise((resolve) => {
      ended.set(id, resolve);
      const poll = setInterval(async () => {
        const job = await api("GET", `/api/jobs/${id}`).catch(() => null);
        if (!job || job.state === "running") return;
        clearInterval(poll);
        note(job);
        resolve();
      }, 4000);
    });
    ended.delete(id);
  }
  const job = await api("GET", `/api/jobs/${id}`);
  note(job);
  return job;
}

function hear({ path, link, name, data, id }) {
  if (link) {
    if (path !== "/api/events") return;
    const back = state.link === "lost" && link === "open";
    state.link = link;
    // What happened meanwhile is in no stream.
    if (back) loadAll();
  } else if (name === "status") merge(data);
  else if (name === "job") note(data);
  else if (name === "outage") later("outages");
  else {
    const job = path.split("/")[3];
    const known = state.lines.get(job) ?? [];
    state.lines.set(job, known);
    const lines = data.lines ?? (name === "phase" ? [`— ${data.name}`] : name === "end" ? [`— ${data.state}${data.why ? `: ${data.why}` : ""}`] : []);
    // An event that comes twice after a reconnect is one.
    const mark = `${id} ${name} ${lines.join("\n")}`;
    if (lines.length && !known.some((one) => one.mark === mark)) known.push({ mark, host: data.host ?? "", lines, bad: name === "failed" });
    if (known.length > 2000) known.splice(0, known.length - 2000);
    if (name === "end") later("jobs");
  }
  draw();
}

let ask = () => {};
const say = (text) => {
  document.getElementById("say").textContent = text;
};
const title = (job) => {
  const about = job.subject || job.service;
  const word = { swap: "Swap to", stop: "Stop of", validate: "Check of", setup: "Set-up of", download: "Download of", delete: "Deletion of", rescan: "Scan of the disks", logs: "Logs of", health: "Health", drift: "Drift check", announce: "Announcement", cancel: "Cancelled announcement" }[job.kind];
  if (word) return about && !["rescan", "health", "drift"].includes(job.kind) ? `${word} ${about}` : word;
  return `${job.kind[0].toUpperCase()}${job.kind.slice(1)} of ${job.service || job.subject}`;
};

const services = () => state.status?.services ?? [];
const service = (name) => services().find((one) => one.name === name);
const recipe = (name) => state.lists.recipes?.recipes.find((one) => one.name === name);
const model = (name) => state.lists.models?.models.find((one) => one.name === name);
const history = (name) => state.lists.swap?.history[name] ?? [];
const runningJobs = () => [...state.jobs.values()].filter((job) => job.state === "running").sort((a, b) => (a.id < b.id ? 1 : -1));
const name = (one) => one.served_model_name || one.recipe || one.name;
const runs = (one) => Boolean(one?.confirm);
const mine = () => Boolean(state.token && state.status?.lock.held && state.status.lock.owner === sessionStorage.getItem("lock-owner"));

// ---------------------------------------------------------------------------------------------------------------
// Sections.

let drawing = 0;
function draw() {
  if (!drawing) drawing = setTimeout(drawNow, 30);
}

function drawNow() {
  drawing = 0;
  const parts = { now: drawServed, models: drawModels, services: drawServices, health: drawHealth, drift: drawDrift, jobs: drawJobs, schedule: drawSchedule, access: drawAccess };
  for (const [id, part] of Object.entries(parts)) patch(document.getElementById(id), part().flat(Infinity).filter(Boolean));
  patch(document.getElementById("news"), drawNews());
  drawTop();
  for (const log of document.querySelectorAll("pre.log")) if (log.dataset.end !== "no") log.scrollTop = log.scrollHeight;
}

// Where the list itself could not be read, or was not read yet.
function unread(name) {
  const problem = state.problems[name];
  if (problem) return h("p.empty", problem.code === "not_ready" ? "Not read yet. It is asked again in a moment." : `${problem.detail ?? "It could not be read."} ${problem.hint ?? ""}`);
  return state.lists[name] ? null : h("p.empty", "Reading …");
}

function stale() {
  const { status } = state;
  return !status || state.link === "lost" || status.stale || !status.at || age(status.at) > 30;
}

function drawTop() {
  const link = document.getElementById("link");
  const { status } = state;
  const last = status?.at ? `last poll ${about(age(status.at))} ago` : "nothing polled yet";
  let word = "connecting";
  let style = "none";
  if (state.link === "lost") [word, style] = [`no connection, ${last}`, "bad"];
  else if (status && stale()) [word, style] = [`stale, ${last}`, "warn"];
  else if (status && state.link === "open") [word, style] = ["live", "ok"];
  if (link.textContent !== word) link.textContent = word;
  link.className = `state ${style}`;
  document.body.classList.toggle("stale", Boolean(status) && stale());
  const main = service("main");
  document.title = `${runningJobs().some((job) => CHANGES.includes(job.kind)) ? "… " : ""}${runs(main) ? `${name(main)} · ` : ""}Control`;
  const lock = status?.lock;
  const held = lock?.held;
  // Before the first play has read it, a lock that is free is not known to be.
  patch(document.getElementById("holder"), !lock || (!held && !status.facts_at) ? [] : held
    ? [h("span", h("b", mine() ? `You (${lock.owner})` : lock.owner || "Somebody"), " ", lock.run_since || !mine() ? "holds the cluster" : "hold the cluster", lock.expires ? [" until ", time(lock.expires)] : ""), lock.reason && h("span.soft", lock.reason), button("release", mine() ? "Release" : "Take over …")].filter(Boolean)
    : [h("span.soft", "Nobody holds the cluster"), button("reserve", "Reserve …")]);
}

function drawNews() {
  const news = [];
  const { status } = state;
  if (status?.stale && status.why) news.push(h("p.banner", { "data-key": "stale" }, h("span", h("b", "The snapshot is stale. "), status.why)));
  const access = state.lists.access;
  if (access && !access.token_required && access.bind && !/^(127\.|\[?::1\]?|localhost)/.test(access.bind)) {
    news.push(h("p.banner", { "data-key": "open" }, h("span", `Everybody who reaches ${access.bind} can change what the nodes serve: no token is set.`)));
  }
  const last = [...state.jobs.values()].filter((job) => CHANGES.includes(job.kind) && job.state !== "running").sort((a, b) => (a.id < b.id ? 1 : -1))[0];
  if (last && ["failed", "lost"].includes(last.state) && !state.dismissed.has(last.id) && age(last.ended ?? last.started) < 86400) {
    news.push(h("div.banner.bad", { "data-key": last.id, role: "group", "aria-label": "The last change failed" },
      h("span", h("b", `${title(last)} ${last.code === "rolled_back" ? "was rolled back" : "failed"}`), " ", last.ended && h("span.soft", ago(last.ended)), h("span.sub", last.why)),
      h("div.acts", button("lines", "Lines", { id: last.id }), button("dismiss", "Dismiss", { id: last.id }))));
  }
  return news;
}

function drawServed() {
  const { status } = state;
  if (!status) return [head("now", "Now", ""), state.problems.status ? h("p.empty", state.problems.status.detail) : h("p.empty", "Reading …")];
  const main = service("main") ?? services().find((one) => !one.watched && runs(one));
  const note = status.at ? ["polled ", ago(status.at)] : "nothing was polled yet";
  const changing = runningJobs().filter((job) => CHANGES.includes(job.kind));
  const elsewhere = status.swaps.filter((swap) => !changing.some((job) => job.service === swap.service));
  return [
    head("now", "Now", note),
    changing.map(drawChange),
    elsewhere.map(drawSwap),
    main && runs(main) ? drawHero(main) : !status.facts_at ? h("p.empty", { "data-key": "nothing" }, "What is served is not known yet: no play has read it from the nodes.") : h("p.empty", { "data-key": "nothing" }, "Nothing is served", main?.detail ? `: ${main.detail}. ` : ". ", h("a", { href: "#models" }, "Choose a model"), "."),
    h("ul.tiles.fade", { "data-key": "nodes", "aria-label": "Nodes" }, status.nodes.map(drawNode)),
  ];
}

function drawHero(one) {
  const last = history(one.name).find((line) => line.result === "complete" && line.recipe === one.recipe);
  return h("div.card", { "data-key": "hero" },
    h("div.hero",
      h("div.fade",
        h("p.served", name(one)),
        badge(one.state), one.detail && h("span.soft.small", ` ${one.detail}`)),
      h("div.acts", changeButtons(one, ["back", "restart", "stop"]))),
    h("div.fade", facts([
      ["Recipe", shown(one.recipe)],
      ["Nodes", shown(one.nodes.join(", "))],
      ["Since", ago(one.since)],
      ["Launched by", last ? [last.owner, ", ", ago(last.at)] : none()],
      ["Plan", shown(one.drift)],
      ["Clients use", state.status.gateway ? address(state.status.gateway) : address(one.endpoint)],
    ], true)));
}

const address = (url) => (url ? h("span", h("code", url), " ", button("copy", "Copy", { text: url, label: "the address" }, ".quiet")) : none());

function changeButtons(one, wanted) {
  const words = { start: "Start …", stop: "Stop …", restart: "Restart …", update: "Update …", reapply: "Reapply …", back: "Go back …", logs: "Logs" };
  return wanted.filter((act) => one.commands[act]).map((act) => button(act === "logs" ? "logs" : "change", words[act], { service: one.name, change: act }, act === "stop" ? ".danger" : ""));
}

function drawChange(job) {
  const swap = state.status.swaps.find((one) => one.service === job.service);
  const known = new Map(job.phases.map((phase) => [phase.name, phase.seconds]));
  const steps = job.kind === "swap" || [...known.keys()].some((one) => PHASES.includes(one)) ? PHASES : [...known.keys()];
  const reached = Math.max(...steps.map((step, index) => (known.has(step) ? index : -1)));
  return h("div.card", { "data-key": job.id, role: "group", "aria-label": title(job) },
    h("div.cardhead", h("h3", title(job)), h("span.soft.small", job.owner && `for ${job.owner}, `, "since ", time(job.started), `, ${about(age(job.started))}`), badge("running")),
    steps.length ? h("ol.phases", steps.map((step, index) => {
      const now = step === job.phase;
      const skipped = !known.has(step) && index < reached;
      const took = known.get(step);
      return h(`li${now ? "" : known.has(step) ? ".done" : ""}`, { "aria-current": now && "step" }, step, h("span.sub", now ? "now" : Number.isFinite(took) ? span(took) : skipped ? "not needed" : " "));
    })) : null,
    h("p.mono", job.step.trim() || job.task || ""),
    swap && h("p.soft.small", `${swap.step}${swap.attempt > 1 ? `, attempt ${swap.attempt}` : ""}${swap.missing.length ? `; does not answer: ${list(swap.missing)}` : ""}`),
    h("div.acts", button("lines", "Lines", { id: job.id })));
}

function drawSwap(swap) {
  return h("div.card", { "data-key": swap.id, role: "group", "aria-label": "A swap that was started elsewhere" },
    h("div.cardhead", h("h3", `Swap of ${swap.service} to ${swap.recipe}`), h("span.soft.small", `by ${swap.owner}, since `, time(swap.since)), badge("running")),
    h("p", swap.step, swap.attempt > 1 ? `, attempt ${swap.attempt}` : ""),
    swap.missing.length ? h("p.soft.small", `does not answer: ${list(swap.missing)}`) : null);
}

function drawNode(node) {
  const total = node.memory_total_bytes;
  const free = node.memory_available_bytes;
  const used = services().filter((one) => one.nodes.includes(node.name)).map((one) => one.name);
  return h("li.card", { "data-key": node.name },
    h("div.cardhead", h("h3", node.name), h("span.soft.mono", node.address), badge(node.state)),
    node.detail && h("p.small", node.detail),
    facts([
      ["Memory", Number.isFinite(total) && Number.isFinite(free) ? [bytes(free), " free of ", bytes(total)] : none()],
      ["Services", used.length ? used.join(", ") : none()],
      ["Since", ago(node.since)],
      node.containers_unknown && ["Containers", `not known: ${node.containers_unknown}`],
    ]),
    Number.isFinite(total) && Number.isFinite(free) ? h("progress", { max: total, value: total - free, "aria-label": `Memory in use on ${node.name}` }) : null);
}

function drawModels() {
  const menu = state.lists.models;
  const busy = runningJobs().filter((job) => ["download", "delete", "setup", "rescan"].includes(job.kind));
  const rows = (menu?.models ?? []).filter((row) => `${row.name} ${row.status} ${row.recipes.join(" ")}`.toLowerCase().includes(state.filter));
  return [
    head("models", "Models", menu ? ["on the disks, read ", ago(menu.at)] : "", button("rescan", "Scan the disks")),
    unread("models"),
    busy.map(drawTransfer),
    menu && menu.models.length > 8 && h("div.field", { "data-key": "filter" }, h("label", { for: "filter" }, "Filter"), h("input", { id: "filter", type: "search", autocomplete: "off" })),
    menu && (menu.models.length ? h("div.wide.fade", { "data-key": "menu" }, table("Models on the disks", ["Model", "Size", "State", "Fits", "On", ""], rows.map(drawModel))) : h("p.empty", "No model is on a disk of these nodes. Download one.")),
    menu && menu.models.length > 0 && !rows.length && h("p.empty", "No model has this in its name."),
    Object.entries(menu?.unknown ?? {}).map(([node, why]) => h("p.soft.small", { "data-key": `unknown ${node}` }, `${node}: ${why}`)),
    drawDownload(),
    drawRecipes(),
  ];
}

function table(caption, columns, rows) {
  // The roles are those of a table: where it is narrow, its rows are laid out as cards.
  return h("table.stack", { role: "table" }, h("caption.sr", caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) => h("th", { scope: "col", role: "columnheader" }, column || h("span.sr", "Actions"))))),
    h("tbody", { role: "rowgroup" }, rows.map(([key, first, ...cells]) =>
      h("tr", { role: "row", "data-key": key }, h("th", { scope: "row", role: "rowheader" }, first),
        cells.map((cell, index) => (columns[index + 1] ? h("td", { role: "cell", "data-label": columns[index + 1] }, h("span", cell)) : h("td.act", { role: "cell" }, cell)))))));
}

function drawModel(row) {
  const { shape } = row;
  const about = [row.kind === "hub" ? "" : row.kind, shape.kind, row.format, (shape.quantisation ?? []).join("+") || shape.dtype, context(shape.context), shape.moe && "MoE", shape.vision && "vision"].filter(Boolean);
  const problems = Object.entries(row.on).flatMap(([node, one]) => one.problems.map((problem) => `${node}: ${problem}`));
  const serving = row.serving.map((one) => `${one.node}: ${one.recipe || one.process}`);
  const acts = [
    row.recipes.length && row.commands.launch && row.status !== "served" ? button("serve", "Serve …", { recipe: row.recipes[0], model: row.name }, ".main") : null,
    row.commands.setup ? button("setup", "Set up …", { model: row.name }, ".main") : null,
    row.commands.delete ? button("delete", "Delete …", { model: row.name }, ".quiet.danger") : null,
  ].filter(Boolean);
  return [row.name,
    [row.name, h("span.sub", about.join(" · ")), row.recipes.length ? h("span.sub", `recipe ${row.recipes.join(", ")}`) : null],
    h("span.num", bytes(row.size)),
    [badge(row.status), [...problems, ...serving].map((text) => h("span.sub", text))],
    row.fits === "unknown" ? none() : h("span.num", { solo: "one node", cluster: "several nodes", no: "does not fit" }[row.fits] ?? row.fits),
    [row.nodes.length ? row.nodes.join(", ") : none(), row.missing_on.length && row.nodes.length ? h("span.sub", `not on ${row.missing_on.join(", ")}`) : null, !row.same_revision && h("span.sub", "revisions differ")],
    h("div.acts", acts)];
}

function drawTransfer(job) {
  const match = /([\d.]+) ([KMGT]?i?B) of ([\d.]+) ([KMGT]?i?B)/.exec(job.step);
  const scale = (value, unit) => Number(value) * 1024 ** Math.max(0, "BKMGT".indexOf(unit[0]));
  return h("div.card", { "data-key": job.id, role: "group", "aria-label": title(job) },
    h("div.cardhead", h("h3", title(job)), h("span.soft.small", `since `, time(job.started)), badge("running")),
    match ? h("progress", { max: scale(match[3], match[4]), value: scale(match[1], match[2]), "aria-label": title(job) }) : h("progress", { "aria-label": title(job) }),
    h("p.mono", job.step.trim() || job.task || ""),
    h("div.acts", button("lines", "Lines", { id: job.id }), job.kind === "download" && button("cancel", "Cancel", { id: job.id })));
}

function drawDownload() {
  const here = new Set((state.lists.models?.models ?? []).filter((row) => row.nodes.length).map((row) => row.name));
  const offered = [...new Set((state.lists.recipes?.recipes ?? []).map((one) => one.model).filter((one) => one && one.includes("/") && !one.startsWith("/") && !here.has(one)))];
  return h("form.card", { "data-key": "download", "data-form": "download" },
    h("div.inline",
      field("download-model", "Download a model of the Hugging Face Hub", h("input", { name: "model", list: "offered", placeholder: "org/name", autocomplete: "off", spellcheck: "false", autocapitalize: "none" })),
      field("download-revision", "Revision", h("input", { name: "revision", placeholder: "newest", autocomplete: "off", spellcheck: "false" }), "", "short"),
      field("download-quant", "GGUF quant", h("input", { name: "quant", placeholder: "none", autocomplete: "off", spellcheck: "false" }), "", "short"),
      h("button", { type: "submit" }, "Download …")),
    h("datalist", { id: "offered" }, offered.map((one) => h("option", { value: one }))));
}

function field(id, label, input, why = "", style = "") {
  input.id = id;
  if (why) input.setAttribute("aria-describedby", `${id}-why`);
  return h(`div.field${style ? `.${style}` : ""}`, { "data-key": id }, h("label", { for: id }, label), input, why && h("p.why", { id: `${id}-why` }, why));
}

function drawRecipes() {
  const recipes = state.lists.recipes?.recipes;
  if (!recipes) return unread("recipes");
  return h("details.card", { "data-key": "recipes" }, h("summary", `All recipes (${recipes.length})`),
    table("Recipes", ["Recipe", "Model", "Nodes", "Memory", "Fits", ""], recipes.map((one) => [one.name,
      [one.name, (one.title || one.description) && h("span.sub", one.title || one.description)],
      one.error ? [badge("failed", "cannot be used"), h("span.sub", one.error)] : shown(one.model),
      shown(one.nodes),
      one.memory === null ? none() : h("span.num", `${one.memory.toFixed(1)} GiB a node`),
      one.fits ? [one.fits, one.confidence && h("span.sub", `confidence ${one.confidence}`)] : none(),
      h("div.acts", one.command && !one.errors ? button("serve", "Serve …", { recipe: one.name }) : null)])));
}

function drawServices() {
  const { status } = state;
  const note = status?.facts_at ? ["asked ", ago(status.facts_at)] : "";
  return [
    head("services", "Services", note),
    services().length ? h("ul.tiles.fade", services().map(drawService)) : h("p.empty", !status ? "Reading …" : status.facts_at ? "No service runs, and the inventory declares none." : "Not read yet."),
  ];
}

function drawService(one) {
  const restarts = one.ranks.filter((rank) => rank.unit).map((rank) => rank.unit.restarts);
  const started = one.ranks.map((rank) => rank.started).filter(Boolean).sort()[0];
  const downs = one.ranks.filter((rank) => rank.unit?.down).map((rank) => rank.unit.down).sort((a, b) => b.at - a.at);
  const more = changeButtons(one, ["update", "reapply", "back"]);
  // Of a service that is declared only, nothing is reported.
  const known = one.url || one.recipe || one.ranks.length;
  return h("li.card.tile", { "data-key": one.name },
    h("div.cardhead", h("h3", one.name), h("span.soft", one.kind.join(", ").replaceAll("_", " ")), badge(one.state)),
    one.detail && h("p.small", one.detail),
    known ? facts([
      !one.watched && ["Model", shown(one.served_model_name || one.recipe)],
      !one.watched && ["Nodes", shown(one.nodes.join(", "))],
      ["Address", address(one.endpoint || one.url)],
      one.watched ? ["Owner", "somebody else; control only watches it"] : ["Runs", shown(one.runs)],
      !one.watched && ["Plan", shown(one.drift)],
      !one.watched && ["Started", started ? ago(started) : none()],
      !one.watched && ["Restarts", restarts.length ? [String(restarts.reduce((a, b) => a + b, 0)), downs.length ? h("span.sub", ago(downs[0].at), `: ${downs[0].why}`) : ""] : none()],
      ["Request", one.deep ? [badge(one.deep.state), h("span.sub", one.deep.detail, Number.isFinite(one.deep.seconds) ? `, ${span(one.deep.seconds)}` : "", ", ", ago(one.deep.at))] : none()],
    ]) : null,
    h("div.acts", changeButtons(one, ["start", "logs", "restart", "stop"]),
      more.length ? h("details.more", h("summary", "More"), h("div.acts", more)) : null));
}

function drawHealth() {
  const { health, outages } = state.lists;
  const down = outages?.minutes_down ?? {};
  return [
    head("health", "Health and outages", health?.at ? ["asked ", ago(health.at)] : "", button("probe", "Ask all now", { deep: "no" }), button("probe", "Send real requests", { deep: "yes" })),
    unread("health"),
    health && h("div.wide.fade", { "data-key": "subjects" }, table("Nodes and services", ["Subject", "State", "Detail", "Answer", "Down, 7 days"], health.subjects.map((one) => {
      const live = (one.what === "node" ? state.status?.nodes : services())?.find((known) => known.name === one.name) ?? one;
      return [one.subject, [one.name, h("span.sub", one.what === "node" ? "node" : one.kind.join(", ").replaceAll("_", " ") || "service")],
        badge(live.state), shown(live.detail), Number.isFinite(one.seconds) ? `${span(one.seconds)}${one.deep ? ", real request" : ""}` : none(),
        down[one.subject] === undefined ? "none" : `${outages.count[one.subject]}×, ${span(down[one.subject] * 60)}`];
    }))),
    outages && (outages.lines.length ? h("details.card", { "data-key": "outages" }, h("summary", `Log of outages (${outages.lines.length})`),
      table("Log of outages", ["At", "Subject", "Change", "Why", "Source"], outages.lines.map((line) => [`${line.at} ${line.subject} ${line.source}`,
        time(line.at), line.subject, [line.source.startsWith("report:") ? "report, no change" : [line.was, " → ", badge(line.is)], h("span.sub", `after ${span(line.seconds)}`)], shown(line.why), line.source]))) : h("p.empty", { "data-key": "outages" }, "No outage in the last 7 days.")),
    unread("outages"),
  ];
}

function drawDrift() {
  const drift = state.lists.drift;
  const report = drift?.report;
  const counts = report ? (report.counts ?? tally(report.table.map((cell) => cell.status))) : {};
  const findings = (report?.findings ?? []).filter((one) => ["failed", "blocked", "drift"].includes(one.status));
  return [
    head("drift", "Configuration drift", drift?.at ? ["checked ", ago(drift.at)] : "", button("audit", "Check now")),
    unread("drift"),
    drift && !report && h("p.empty", "Control has made no check yet. A check changes nothing."),
    report && h("ul.counts.fade", { "data-key": "counts" }, Object.entries(counts).map(([status, count]) => h("li", badge(status, `${count} ${status}`)))),
    Object.entries(report?.unreachable ?? {}).map(([node, why]) => h("p.small", { "data-key": `lost ${node}` }, `${node} was not reached: ${why}`)),
    findings.length > 0 && h("div.wide.fade", { "data-key": "findings" }, table("Findings", ["Check", "State", "Actual", "Expected", "What to do"], findings.slice(0, 12).map((one) => [`${one.node} ${one.spec} ${one.check}`,
      [one.check, h("span.sub", `${one.node} · ${one.spec}`)], [badge(one.status), h("span.sub", one.severity)], shown(one.actual), shown(one.expected), shown(one.fix || one.hint)]))),
    report && h("p", { "data-key": "page" }, findings.length > 12 && `${findings.length - 12} more in `, h("a", { href: "/api/drift.html", target: "_blank", rel: "noopener" }, "the complete report")),
  ];
}

function drawJobs() {
  const jobs = [...state.jobs.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  return [
    head("jobs", "Jobs", jobs.length ? `${jobs.filter((job) => job.state === "running").length} running` : ""),
    unread("jobs") && !jobs.length && state.problems.jobs ? unread("jobs") : null,
    jobs.length ? h("ol.plain.wide", { "data-key": "jobs" }, jobs.slice(0, 30).map(drawJob)) : h("p.empty", "Nothing was started here yet."),
  ];
}

function drawJob(job) {
  const opened = state.opened.has(job.id);
  const took = job.ended ? (moment(job.ended) - moment(job.started)) / 1000 : age(job.started);
  const lines = (state.lines.get(job.id) ?? []).flatMap((one) => one.lines.map((text) => (one.host ? `${one.host}: ${text}` : text)));
  return h("li.job", { "data-key": job.id, id: `job-${job.id}` },
    h("div",
      h("h3", title(job)),
      h("p.soft.small", job.owner && `for ${job.owner}, `, time(job.started), `, ${span(Math.round(took))}`),
      job.why && h("p.small", job.why),
      job.state === "running" && (job.step.trim() || job.task) ? h("p.mono", job.step.trim() || job.task) : null),
    badge(job.code === "rolled_back" ? "rolled_back" : job.state),
    h("div.acts", h("button", { type: "button", "data-act": "toggle", "data-id": job.id, "aria-expanded": String(opened), "aria-controls": `log-${job.id}` }, opened ? "Hide lines" : "Lines"),
      job.state === "running" && !CHANGES.includes(job.kind) && button("cancel", "Cancel", { id: job.id })),
    h("div.lines", { id: `log-${job.id}`, hidden: !opened }, opened && [h("p.soft.small", "The same on a terminal"), command(job.command),
      h("pre.log", { tabindex: "0", role: "log", "aria-label": `Lines of ${title(job)}`, "aria-live": "off", "data-id": job.id }, lines.length ? lines.join("\n") : "no lines yet")]));
}

function drawSchedule() {
  const schedule = state.lists.schedule;
  const entries = state.status?.schedule ?? schedule?.entries ?? [];
  return [
    head("schedule", "Schedule", schedule?.at ? ["read ", ago(schedule.at)] : "", button("announce", "Announce a use …")),
    unread("schedule"),
    entries.length ? h("div.wide.fade", { "data-key": "entries" }, table("Announced uses", ["Who", "From", "To", "Why", ""], entries.map((one) => [one.id, one.owner, time(one.begin), time(one.end), shown(one.reason), h("div.acts", button("unannounce", "Cancel …", { id: one.id }))]))) : schedule && h("p.empty", "Nobody has announced a use. Announcements inform; only the lock refuses."),
  ];
}

function drawAccess() {
  const access = state.lists.access;
  return [
    head("access", "Access", access ? `listens on ${access.bind}` : "", access?.token_required && access.signed_in && button("signout", "Sign out")),
    unread("access"),
    access && h("div.card", { "data-key": "key" },
      access.public_key ? [
        h("p", "Control logs in to the nodes with a key of its own. Allow it once on each node; remove its line from ", h("code", "authorized_keys"), " there to end it."),
        h("div.field", h("p.small.soft", "Public key"), command(access.public_key), h("p.small.soft", access.fingerprint)),
        access.commands.map((line) => command(line)),
      ] : h("p", access.token_required && !access.signed_in ? "Sign in to see the key." : "Control has no key of its own: it logs in to the nodes as its user does."),
      access.token_required && !access.signed_in ? h("div.acts", button("signin", "Sign in …", {}, ".main")) : null),
  ];
}

// ---------------------------------------------------------------------------------------------------------------
// Questions. Each change is asked for first.

const dialog = () => document.getElementById("dialog");
let question = null;

// body: () => elements; it is called again when what it says has changed. submit: (form) => a promise; where it is
// rejected, the dialog stays with the reason; where it resolves to true, with what body() says now.
function open({ title: text, body, act, danger = false, submit, ready = true }) {
  question = { text, body, act, danger, submit, ready, problem: null, busy: false };
  patch(dialog(), []);
  drawQuestion();
  if (!dialog().open) dialog().showModal();
  // The question is read first; what answers it comes by Tab.
  (dialog().querySelector("[autofocus]") ?? document.getElementById("dialog-title")).focus();
}

function drawQuestion() {
  if (!question) return;
  const { text, body, act, danger, problem, busy, ready } = question;
  patch(dialog(), [h("form", { "data-form": "question", novalidate: true },
    h("div.body", h("h2", { id: "dialog-title", tabindex: "-1" }, text), body()),
    h("div.foot",
      h("div.problem", { role: "alert" }, problem && [h("p", h("b", problem.detail)), problem.hint && h("p.soft.small", problem.hint), (problem.errors ?? []).map((one) => h("p.small", `${one.field}: ${one.message}`))]),
      button("close", act ? "Cancel" : "Close"), act && h(`button.main${danger ? ".danger" : ""}`, { type: "submit", "aria-disabled": busy || !ready ? "true" : null }, busy ? "Asking …" : act)))]);
}

async function submitQuestion(form) {
  const asked = question;
  if (!asked?.submit || asked.busy || !asked.ready) return;
  Object.assign(asked, { busy: true, problem: null });
  drawQuestion();
  try {
    const stay = await asked.submit(form);
    if (question === asked && !stay) close();
  } catch (refusal) {
    asked.problem = refusal.problem ?? { detail: String(refusal.message ?? refusal) };
    // It stays in sight with the answer to it, also while that is sent.
    if (asked.problem.code === "locked") asked.locked = asked.problem;
    if (asked.problem.code === "changed") await load("status");
  }
  asked.busy = false;
  if (question === asked) drawQuestion();
}

function close() {
  question = null;
  dialog().close();
  patch(dialog(), []);
}

const value = (form, key) => form.elements[key]?.value.trim() ?? "";
const current = (key) => dialog().querySelector(`[name="${key}"]`)?.value.trim() ?? "";
const wrong = (detail) => Object.assign(new Error(detail), { problem: { detail } });

// What a change of a service ends, for whom.
function ends(one) {
  if (!runs(one)) return h("div.ends", h("p", `Nothing runs as ${one ? one.name : "this service"}: nothing ends.`));
  const launched = history(one.name).find((line) => line.result === "complete" && line.recipe === one.recipe);
  const others = services().filter((other) => other !== one && !other.watched && runs(other));
  return h("div.ends",
    h("p", h("b", `${name(one)} stops answering`), one.nodes.length ? ` on ${list(one.nodes)}.` : "."),
    h("p.small", launched ? [`Launched by ${launched.owner} `, ago(launched.at), ". "] : "", one.state === "busy" ? "It is answering requests now. " : "", "Its clients use ", h("code", one.endpoint || one.url), state.status.gateway ? [" or ", h("code", state.status.gateway)] : "", "."),
    others.length ? h("p.small.soft", `Stays as it is: ${list(others.map((other) => other.name))}.`) : null);
}

function lasted(of, serviceName) {
  const lines = history(serviceName).filter((line) => line.recipe === of);
  const proven = lines.find((line) => line.result === "complete");
  const last = lines[0];
  return h("p.small",
    proven ? [`It took ${span(proven.seconds)} last time (`, time(proven.at), "). "] : "How long it takes is not known: its history has no launch that ended well. ",
    last && last.result !== "complete" && last.result !== "stopped" ? [`The last attempt was ${last.result.replaceAll("_", " ")}, `, ago(last.at), `, after ${span(last.seconds)}.`] : "");
}

function announced() {
  const soon = (state.status?.schedule ?? []).filter((one) => moment(one.end) > now() && moment(one.begin) < now() + 86400e3);
  return soon.map((one) => h("p.small", h("b", one.owner), " has announced ", time(one.begin), " to ", time(one.end), one.reason ? `: ${one.reason}.` : "."));
}

function whose() {
  const lock = state.status?.lock;
  const holder = question?.locked ?? (lock?.held && !mine() ? lock : null);
  return [
    holder && h("div.ends",
      h("p", h("b", `${holder.owner} holds the cluster`), holder.expires ? [" until ", time(holder.expires)] : "", holder.reason ? `: ${holder.reason}.` : "."),
      h("p", h("label", h("input", { type: "checkbox", name: "force" }), `Take the lock over from ${holder.owner}`))),
    field("owner", "For whom", h("input", { name: "owner", autocomplete: "name", placeholder: "the user of control", value: state.owner, maxlength: "300" }), "The lock and the history have this name."),
  ];
}

function credentials(form) {
  const owner = value(form, "owner");
  state.owner = owner;
  localStorage.setItem("owner", owner);
  return { owner, token: mine() ? state.token : "", force: Boolean(form.elements.force?.checked) };
}

const typed = (text) => (text ? h("div", { "data-key": "typed" }, h("p.small.soft", "The same on a terminal"), command(text)) : null);

// What the answers above add to a command.
const choices = () => (mine() ? " -e lock_token=TOKEN" : "") + (dialog().querySelector("[name=force]:checked") ? " -e force=true" : "");

// Another playbook with the inventories of this one, as of the schedule.
function playbook(of, ...words) {
  const known = state.lists.schedule?.command ?? "";
  const at = known.indexOf(" dgxspark.suite.");
  return at < 0 ? "" : [known.slice(0, at), `dgxspark.suite.${of}`, ...words.map((word) => `-e ${quoted(word)}`)].join(" ");
}

function started(job) {
  note(job);
  say(`${title(job)} has started`);
  draw();
}

function overridesOf(text) {
  const pairs = text.split(/\n/).map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(pairs.map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw wrong(`Overrides: expected KEY=VALUE, not ${pair}`);
    const raw = pair.slice(at + 1);
    return [pair.slice(0, at), /^-?\d+(\.\d+)?$/.test(raw) ? Number(raw) : raw === "true" || raw === "false" ? raw === "true" : raw];
  }));
}

function serve({ recipe: wanted, model: of }) {
  const recipes = (of && model(of)?.recipes) || [wanted];
  const home = services().find((one) => one.recipe === wanted && !one.watched)?.name ?? "main";
  const chosen = () => current("recipe") || wanted;
  const where = () => current("service") || home;
  const nodes = () => [...dialog().querySelectorAll("[name=nodes]:checked")].map((box) => box.value);
  const plan = (form) => ({ recipe: chosen(), service: where(), nodes: nodes(), overrides: overridesOf(form.elements.overrides?.value ?? "") });
  let checked = null;
  const line = () => {
    let text = recipe(chosen())?.command || model(of)?.commands.launch || "";
    if (!text) return "";
    if (where() !== "main") text += ` -e service=${quoted(where())}`;
    if (nodes().length) text += ` -e nodes=${quoted(nodes().join(","))}`;
    const overrides = current("overrides").split(/\n/).map((one) => one.trim()).filter(Boolean).join(" ");
    return text + (overrides ? ` -e ${quoted(`overrides=${overrides}`)}` : "") + choices();
  };
  const check = async (form) => {
    checked = { text: "Checking the plan; nothing is changed …" };
    drawQuestion();
    try {
      const job = await api("POST", "/api/swap/validate", plan(form));
      note(job);
      const done = await outcome(job.id);
      checked = { job: done };
    } catch (refusal) {
      checked = { text: refusal.message };
    }
    drawQuestion();
  };
  open({
    title: `Serve ${wanted}?`,
    act: "Serve",
    body: () => [
      ends(service(where())),
      lasted(chosen(), where()),
      announced(),
      recipes.length > 1 && field("recipe", "Recipe", h("select", { name: "recipe" }, recipes.map((one) => h("option", { value: one }, one)))),
      whose(),
      h("details", h("summary", "Service, nodes, overrides"),
        field("service", "Service", h("input", { name: "service", value: home, list: "known", spellcheck: "false", autocapitalize: "none" }), "What runs under this name is replaced; all others stay."),
        h("datalist", { id: "known" }, services().filter((one) => !one.watched).map((one) => h("option", { value: one.name }))),
        h("fieldset.field", h("legend.small", "Nodes (none: as many as the recipe needs)"), (state.status?.nodes ?? []).map((node) => h("label", h("input", { type: "checkbox", name: "nodes", value: node.name }), node.name))),
        field("overrides", "Overrides", h("textarea.mono", { name: "overrides", rows: "2", spellcheck: "false" }), "One KEY=VALUE a line, such as port=8001.")),
      h("div.acts", button("check", "Check the plan first")),
      checked && h("div", { role: "status" }, checked.text ? h("p.small", checked.text) : drawPlan(checked.job)),
      typed(line()),
    ],
    submit: async (form) => {
      const job = await api("POST", "/api/swap", { ...plan(form), confirm: service(where())?.confirm ?? "", ...credentials(form) });
      started(job);
      location.hash = "#now";
    },
  });
  question.check = check;
}

function drawPlan(job) {
  const plan = job.result.plan;
  if (job.state !== "succeeded" || !plan) return h("div.problem", h("p", h("b", "It would be refused. "), job.why));
  return h("div.card", h("p", h("b", "The plan holds. "), `${plan.served_model_name} on ${list(plan.nodes)}, ${plan.runtime}, ${plan.image}`),
    (plan.warnings ?? []).map((text) => h("p.small", text)),
    h("details", h("summary", "Its commands"), h("pre.log", { tabindex: "0", "aria-label": "Commands of the plan" }, job.lines.join("\n"))));
}

function change({ service: of, change: act }) {
  const one = service(of);
  if (!one) return;
  const before = act === "back" ? history(of).find((line) => line.result === "complete" && line.plan_hash !== one.plan_hash) : null;
  const words = {
    start: [`Start ${of}?`, "Start", "It is launched as the inventory declares it, and takes memory on its nodes."],
    stop: [`Stop ${of}?`, "Stop", "Its containers are removed, its memory is released, and it does not come back after a reboot."],
    restart: [`Restart ${of}?`, "Restart", "The plan that runs is launched once more. If it fails, what runs now is served again."],
    update: [`Update ${of}?`, "Update", "Its image is pulled again. If it has changed, the plan is launched with it; else nothing ends."],
    reapply: [`Reapply ${of}?`, "Reapply", "It is launched as it is declared, by its recipe as it is now."],
    back: [before ? `Go back to ${before.recipe}?` : `Go back to what ${of} served before?`, "Go back", before ? "" : "Its history names no earlier launch that ended well; the nodes decide."],
  }[act];
  open({
    title: words[0],
    act: words[1],
    danger: act === "stop",
    body: () => {
      const present = service(of) ?? one;
      return [
        ends(present),
        words[2] && h("p", words[2]),
        act === "stop" || act === "update" ? null : lasted(before?.recipe ?? present.recipe, of),
        announced(),
        whose(),
        typed((present.commands[act] ?? one.commands[act]) + choices()),
      ];
    },
    submit: async (form) => {
      const common = { confirm: (service(of) ?? one).confirm, ...credentials(form) };
      if (act === "stop") started(await api("POST", "/api/stop", { service: of, ...common }));
      else if (act === "back") started(await api("POST", "/api/swap", { back: true, service: of, ...common }));
      else started(await api("POST", `/api/services/${encodeURIComponent(of)}/${act}`, common));
      location.hash = "#now";
    },
  });
}

function setup({ model: of }) {
  const row = model(of);
  let job = null;
  let text = "Reading the model's config; nothing is written …";
  const quants = row?.quants ?? [];
  const chosen = () => ({ model: of, image: current("image"), quant: current("quant") });
  const propose = async () => {
    Object.assign(question, { ready: false, problem: null });
    text = "Reading the model's config; nothing is written …";
    const asked = question;
    drawQuestion();
    try {
      const begun = await api("POST", "/api/models/setup", chosen());
      note(begun);
      job = await outcome(begun.id);
      text = job.state === "succeeded" ? "" : job.why || "No recipe could be proposed.";
      asked.ready = job.state === "succeeded";
    } catch (refusal) {
      asked.problem = refusal.problem ?? { detail: refusal.message };
      text = "";
    }
    if (question === asked) drawQuestion();
  };
  open({
    title: `Set up ${of}`,
    act: "Write the recipe",
    ready: false,
    body: () => {
      const result = job?.result ?? {};
      const settings = Object.entries(result.settings ?? {});
      return [
        h("p", "The recipe below is inferred. Read it, correct what you know better, and have it written; the model can then be served."),
        text && h("p.small", { role: "status" }, text),
        field("image", "Image", h("input", { name: "image", placeholder: "that of the runtime", spellcheck: "false", autocapitalize: "none", autocomplete: "off" }), "Empty: the image that the recipe's runtime uses here."),
        quants.length ? field("quant", "Quantisation", h("select", { name: "quant" }, h("option", { value: "" }, "the smallest complete one"), quants.map((one) => h("option", { value: one }, one))), "Those that are complete on a disk.") : null,
        h("div.acts", button("propose", "Propose again")),
        settings.length ? [
          (result.warnings ?? []).map((warning) => h("p.ends", warning)),
          facts([["Recipe", shown(result.name)], ["Nodes", shown(result.nodes)], ["Memory", Number.isFinite(result.memory?.total_gib) ? `${result.memory.total_gib} GiB a node` : none()], ["Fits", shown(result.fit?.verdict)]]),
          h("div.wide", table("Settings of the recipe", ["Setting", "Value", "Why"], settings.map(([key, one]) => [key, h("code", key), h("code", typeof one.value === "string" ? one.value : JSON.stringify(one.value)), [one.source, h("span.sub", `confidence ${one.confidence}`)]]))),
        ] : null,
        row?.commands.setup && typed(`${row.commands.setup} -e confirm=${quoted(of)}`),
      ];
    },
    submit: async () => {
      const begun = await api("POST", "/api/models/setup", { ...chosen(), confirm: of });
      started(begun);
    },
  });
  question.propose = propose;
  propose();
}

function remove({ model: of }) {
  const row = model(of);
  open({
    title: `Delete ${of}?`,
    act: "Delete",
    danger: true,
    body: () => [
      h("div.ends", h("p", h("b", "Its files are removed"), ` from ${list(Object.keys(row?.on ?? {}))}.`), h("p.small", "Getting it back means a download of ", bytes(row?.size), ".")),
      field("confirm", "Type its name", h("input", { name: "confirm", autocomplete: "off", spellcheck: "false", autocapitalize: "none", autofocus: true }), of),
      row?.commands.delete && typed(row.commands.delete),
    ],
    submit: async (form) => {
      if (value(form, "confirm") !== of) throw wrong("The name differs. Nothing was deleted.");
      started(await api("POST", "/api/models/delete", { model: of, confirm: value(form, "confirm") }));
    },
  });
}

function download(form) {
  const wanted = { model: value(form, "model"), revision: value(form, "revision"), quant: value(form, "quant") };
  const words = (state.lists.models?.download_command ?? "").replace("ORG/NAME", quoted(wanted.model));
  const extra = ["revision", "quant"].filter((key) => wanted[key]).map((key) => ` -e ${key}=${quoted(wanted[key])}`).join("");
  if (!wanted.model) {
    form.elements.model.focus();
    return;
  }
  open({
    title: `Download ${wanted.model}?`,
    act: "Download",
    body: () => [h("p", "Its files are fetched from the Hugging Face Hub to the first node and verified by their hashes. A download that is cancelled goes on where it was when it is started again."), typed(words + extra)],
    submit: async () => {
      started(await api("POST", "/api/models/download", wanted));
      form.reset();
    },
  });
}

function reserve() {
  let taken = null;
  open({
    title: "Reserve the cluster",
    act: "Reserve",
    body: () => taken ? [
      h("p", h("b", `${taken.owner} holds the cluster`), " until ", time(taken.expires), ". Whoever has this token works within the reservation; it is shown once, and this tab remembers it."),
      command(taken.token),
    ] : [
      h("p", "While you hold the cluster, launches and stops of others are refused. What runs goes on."),
      field("owner", "Who", h("input", { name: "owner", value: state.owner, autocomplete: "name", required: true, maxlength: "300" })),
      field("reason", "Why", h("input", { name: "reason", autocomplete: "off", maxlength: "300" })),
      field("hours", "Hours", h("input", { name: "hours", type: "number", min: "0.25", max: "168", step: "0.25", value: "1" })),
      typed(playbook("lock", `reserve=${Math.round(Number(current("hours") || 1) * 3600)}`, ...(current("reason") ? [JSON.stringify({ reason: current("reason") })] : []))),
    ],
    submit: async (form) => {
      const owner = value(form, "owner");
      if (!owner) throw wrong("Who? Others read this name.");
      taken = await api("POST", "/api/swap/lock", { owner, reason: value(form, "reason"), seconds: Math.round(Number(value(form, "hours")) * 3600) });
      state.owner = owner;
      state.token = taken.token;
      localStorage.setItem("owner", owner);
      sessionStorage.setItem("lock-token", taken.token);
      sessionStorage.setItem("lock-owner", taken.owner);
      const { token, taken_from, ...lock } = taken;
      merge({ lock });
      draw();
      Object.assign(question, { text: "Reserved", act: "", submit: null });
      return true;
    },
  });
}

function release() {
  const lock = state.status.lock;
  const own = mine();
  open({
    title: own ? "Release the cluster?" : `Take the lock from ${lock.owner}?`,
    act: own ? "Release" : "Take it away",
    danger: !own,
    body: () => [own ? h("p", "Others may launch and stop again.") : h("div.ends", h("p", h("b", `${lock.owner} loses the lock`), lock.reason ? `: ${lock.reason}.` : "."), h("p.small", "A launch that works under it ends before its next phase. Ask first.")), typed(playbook("lock", "release=true", own ? "lock_token=TOKEN" : "force=true"))],
    submit: async () => {
      if (own) await api("DELETE", "/api/swap/lock", undefined, { "X-Lock-Token": state.token });
      else await api("DELETE", "/api/swap/lock?force=true");
      state.token = "";
      sessionStorage.removeItem("lock-token");
      merge({ lock: { ...lock, held: false } });
      draw();
      later("status", 500);
    },
  });
}

// A moment of a field, which has local time, in UTC; empty for none.
function utc(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString().slice(0, 16);
}

function announce() {
  const start = new Date(now() + 3600e3);
  start.setMinutes(0, 0, 0);
  const local = new Date(start.getTime() - start.getTimezoneOffset() * 60e3).toISOString().slice(0, 16);
  open({
    title: "Announce a use",
    act: "Announce",
    body: () => [
      h("p", "Others see it here, in status and before a launch. It refuses nothing; to keep others out, reserve the cluster."),
      field("owner", "Who", h("input", { name: "owner", value: state.owner, autocomplete: "name", maxlength: "300" })),
      field("begin", "From", h("input", { name: "begin", type: "datetime-local", value: local })),
      field("hours", "Hours", h("input", { name: "hours", type: "number", min: "0.25", step: "0.25", value: "1" })),
      field("reason", "Why", h("input", { name: "reason", autocomplete: "off", maxlength: "300" })),
      typed(playbook("schedule", `announce=${utc(current("begin") || local)}`, `hours=${current("hours") || 1}`, ...(current("reason") ? [JSON.stringify({ reason: current("reason") })] : []))),
    ],
    submit: async (form) => {
      const owner = value(form, "owner");
      if (!owner) throw wrong("Who? Others read this name.");
      const begin = utc(value(form, "begin"));
      if (!begin) throw wrong("From when?");
      started(await api("POST", "/api/schedule", { owner, begin, hours: Number(value(form, "hours")), reason: value(form, "reason") }));
      localStorage.setItem("owner", (state.owner = owner));
    },
  });
}

function unannounce({ id }) {
  const one = state.status.schedule.find((entry) => entry.id === id);
  if (!one) return;
  open({
    title: `Cancel what ${one.owner} has announced?`,
    act: "Cancel it",
    danger: true,
    body: () => [h("p", time(one.begin), " to ", time(one.end), one.reason ? `: ${one.reason}` : ""), field("owner", "Who are you", h("input", { name: "owner", value: state.owner, autocomplete: "name" })), h("label", h("input", { type: "checkbox", name: "force" }), "Also if it is somebody else's"), typed(playbook("schedule", `cancel=${id}`, ...(dialog().querySelector("[name=force]:checked") ? ["force=true"] : [])))],
    submit: async (form) => {
      const query = new URLSearchParams({ owner: value(form, "owner"), ...(form.elements.force.checked ? { force: "true" } : {}) });
      started(await api("DELETE", `/api/schedule/${encodeURIComponent(id)}?${query}`));
    },
  });
}

function signIn() {
  if (question?.signing) return;
  open({
    title: "Sign in",
    act: "Sign in",
    body: () => [
      h("p", "This control asks for its token."),
      field("token", "Token", h("input", { name: "token", type: "password", autocomplete: "current-password", autofocus: true })),
    ],
    submit: async (form) => {
      await api("POST", "/api/access", { token: value(form, "token") });
      ask("again", "/api/events");
      loadAll();
    },
  });
  question.signing = true;
}

// ---------------------------------------------------------------------------------------------------------------
// What is pressed.

async function plain(path, body, method = "POST") {
  try {
    const job = await api(method, path, body);
    if (job?.id) started(job);
    return job;
  } catch (refusal) {
    open({ title: "It was refused", body: () => [h("p", refusal.problem?.detail ?? refusal.message), refusal.problem?.hint && h("p.soft", refusal.problem.hint)] });
    return null;
  }
}

function follow(id, wanted) {
  const path = `/api/jobs/${encodeURIComponent(id)}/events`;
  if (wanted === state.opened.has(id)) return;
  state.opened[wanted ? "add" : "delete"](id);
  if (!wanted) state.lines.delete(id);
  ask(wanted ? "add" : "drop", path);
  draw();
}

async function copy({ text }, pressed) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers have a clipboard on https and localhost only.
    const area = h("textarea", { "aria-hidden": "true" });
    area.value = text;
    pressed.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    pressed.focus();
  }
  say("Copied");
  pressed.textContent = "Copied";
  setTimeout(() => (pressed.textContent = "Copy"), 1500);
}

const ACTS = {
  serve, change, setup, reserve, release, announce, unannounce, copy, close,
  delete: remove,
  signin: signIn,
  signout: async () => {
    await plain("/api/access", undefined, "DELETE");
    location.reload();
  },
  check: (_data, pressed) => question?.check?.(pressed.form),
  propose: () => question?.propose?.(),
  rescan: () => plain("/api/models/rescan", {}),
  probe: ({ deep }) => plain("/api/health", { deep: deep === "yes" }),
  audit: () => plain("/api/drift", {}),
  cancel: ({ id }) => plain(`/api/jobs/${encodeURIComponent(id)}/cancel`, {}),
  logs: async ({ service: of }) => {
    const job = await plain(`/api/services/${encodeURIComponent(of)}/logs`, { lines: 100 });
    if (job) ACTS.lines(job);
  },
  toggle: ({ id }) => follow(id, !state.opened.has(id)),
  lines: ({ id }) => {
    follow(id, true);
    drawNow();
    const card = document.getElementById(`job-${id}`);
    card?.scrollIntoView({ block: "start" });
    card?.querySelector("pre.log")?.focus({ preventScroll: true });
  },
  dismiss: ({ id }) => {
    state.dismissed.add(id);
    draw();
  },
};

const FORMS = { question: submitQuestion, download };

function listen() {
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-act]");
    if (!pressed || pressed.getAttribute("aria-disabled") === "true") return;
    ACTS[pressed.dataset.act](pressed.dataset, pressed);
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    FORMS[event.target.dataset.form]?.(event.target);
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "filter") {
      state.filter = event.target.value.trim().toLowerCase();
      draw();
    }
    if (question && dialog().contains(event.target)) drawQuestion();
  });
  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (log.nodeType === Node.ELEMENT_NODE && log.matches("pre.log")) log.dataset.end = log.scrollHeight - log.scrollTop - log.clientHeight < 24 ? "yes" : "no";
  }, true);
  dialog().addEventListener("close", () => {
    if (dialog().open) return;
    question = null;
    patch(dialog(), []);
  });
  const links = new Map([...document.querySelectorAll(".sections a")].map((link) => [link.hash.slice(1), link]));
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) target.dataset.near = isIntersecting ? "yes" : "no";
    const first = [...document.querySelectorAll("main > section")].find((one) => one.dataset.near === "yes");
    for (const [id, link] of links) {
      if (id === first?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-130px 0px -55% 0px" });
  document.querySelectorAll("main > section").forEach((one) => near.observe(one));
}

function start() {
  ask = connectHub(hear);
  listen();
  ask("add", "/api/events");
  loadAll();
  addEventListener("pagehide", () => ask("bye"));
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    ask("add", "/api/events");
    state.opened.forEach((id) => ask("add", `/api/jobs/${encodeURIComponent(id)}/events`));
    loadAll();
  });
  // Ages go on, faster while something runs.
  let beats = 0;
  setInterval(() => {
    beats += 1;
    if (!document.hidden && (runningJobs().length || beats % 10 === 0)) draw();
  }, 1000);
}

if (typeof document === "undefined") serveTabs();
else start();
