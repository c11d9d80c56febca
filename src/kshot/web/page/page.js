// The page: teach by examples (step 1), try (step 2), and watch the probabilities move. What a user has made is kept in this browser; the
// server's task is made from it, and made again if it is gone. No library, no build step, no request but to this server.

const STORE = "kshot.page.1";
const AT_REST = 450; // ms after the last change before the server is told
const LIVE = 110; // ms between questions while a stroke is drawn
const SIDE = 280; // pixels of a drawing as it is sent
const PHOTO = 480; // most pixels of a side of a photo as it is kept and sent

const MODES = {
  draw: {
    source: { learner: "omniglot-protonet" }, asked: { unknown: 0.01 }, // a false alarm is a nuisance while one draws
    lead: "Invent a few symbols and draw each of them once. From then on, it knows them when you draw them again.",
    teach: "Draw two or more symbols", help: "One drawing each. Any sign, letter or doodle will do.",
    try: "Draw one of them again", tryHelp: "Not exactly the same. The bars move while you draw.",
    thing: ["drawing", "drawings"], kind: ["symbol", "symbols"], name: (n) => `Symbol ${n}`, add: "Another symbol",
    idle: "First draw at least two symbols in step 1.", ready: "Now draw one of your symbols here.", start: 3,
  },
  photos: {
    source: { encoder: "efficientnet_lite0" },
    lead: "Take or choose a photo or two of each thing. From then on, it knows them on other photos.",
    teach: "Show it two or more things", help: "One photo each will do. A second from another side is better.",
    try: "Show it one of them again", tryHelp: "Another photo, or hold it in front of the camera.",
    thing: ["photo", "photos"], kind: ["thing", "things"], name: (n) => `Thing ${n}`, add: "Another thing",
    idle: "First add a photo of at least two things in step 1.", ready: "Now show it a photo.", start: 2,
  },
  texts: {
    source: { encoder: "all-MiniLM-L6-v2:layers" },
    lead: "Name a few kinds of message and give an example of each. From then on, it knows which kind a new one is.",
    teach: "Name two or more kinds of message", help: "A good name helps. One example of each helps more.",
    try: "Write a message", tryHelp: "The bars move while you write.",
    thing: ["message", "messages"], kind: ["kind", "kinds"], name: () => "", add: "Another kind",
    idle: "First name at least two kinds in step 1, with an example each.", ready: "Now write a message.", start: 2,
  },
};

// ---------------------------------------------------------------------------------------------------------------- small tools

const $ = (id) => document.getElementById(id);
const newKey = () => Math.random().toString(36).slice(2, 10);
const count = (n, [one, many]) => `${n} ${n === 1 ? one : many}`;
const either = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);
const own = (things, name) => (Object.hasOwn(things, name) ? things[name] : undefined); // a class may be called constructor
const percent = (p) => (p > 0 && p < 0.005 ? "< 1 %" : `${Math.round(100 * p)} %`);

function el(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(properties)) if (name.includes("-") || name === "role") made.setAttribute(name, value);
  made.append(...children.filter((one) => one !== null));
  return made;
}

// ---------------------------------------------------------------------------------------------------------------- what is kept

const emptyWork = (mode) => ({
  classes: Array.from({ length: MODES[mode].start }, (_, n) => newClass(MODES[mode].name(n + 1), mode)), task: null, probe: null,
});
const newClass = (name, mode) => ({ key: newKey(), name, examples: mode === "draw" ? [newDrawing()] : [] });
const newDrawing = (strokes = []) => ({ key: newKey(), strokes });

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE));
    if (kept && MODES[kept.mode] && Object.keys(MODES).every((mode) => Array.isArray(kept[mode]?.classes))) return kept;
  } catch { /* damaged, or storage is forbidden: begin anew */ }
  return { mode: "draw", ...Object.fromEntries(Object.keys(MODES).map((mode) => [mode, emptyWork(mode)])) };
}

function save() {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
  } catch {
    complain("This browser has no room to keep more. What you add still works until you close the page.");
  }
}

const state = load();
const work = () => state[state.mode];
const mode = () => MODES[state.mode];
const isThere = (example) => (example.strokes ? example.strokes.length > 0 : true);
const there = (one) => one.examples.filter(isThere);

function known(of = work(), name = state.mode) { // the classes that the server is told about
  const seen = new Set();
  return of.classes.filter((one) => {
    const label = one.name.trim();
    const usable = label && !seen.has(label) && (there(one).length > 0 || name === "texts");
    if (usable) seen.add(label);
    return usable;
  });
}

// ---------------------------------------------------------------------------------------------------------------- the server

class Problem extends Error {
  constructor(message, status = 0) { super(message); this.status = status; }
}

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  const key = sessionStorage.getItem("kshot.key");
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && !/predict$|suggest$/.test(path)) headers["Idempotency-Key"] = newKey() + newKey(); // a write is done once
  for (let left = 4; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(`v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      throw new Problem("The server does not answer. What you have made is kept here; try again when it is back.");
    }
    if ((answer.status === 429 || answer.status === 503) && left > 0) {
      await new Promise((go) => setTimeout(go, 1000 * Math.min(5, Number(answer.headers.get("Retry-After")) || 1)));
      continue;
    }
    const content = answer.status === 204 ? null : await answer.json().catch(() => null);
    if (!answer.ok) throw new Problem(content?.detail || content?.title || `The server answered ${answer.status}.`, answer.status);
    return content;
  }
}

const sent = (example) => (example.strokes ? { image: picture(example.strokes) } : example.image ? { image: example.image } : { text: example.text });

// Bring the server's task to what is on the page: what is new first, then what is gone, so that two classes always remain. All is done with
// what is there when it begins; a drawing that goes on meanwhile has another key, and is told the next time.
async function bring(of, name) {
  const has = (label, key) => own(of.task?.classes ?? {}, label)?.includes(key);
  const wanted = known(of, name).map((one) => [
    one.name.trim(), there(one).map((example) => ({ key: example.key, body: has(one.name.trim(), example.key) ? null : sent(example) })),
  ]);
  if (wanted.length < 2) {
    if (of.task) await call("DELETE", `tasks/${of.task.id}`).catch(() => null);
    of.task = null;
    return;
  }
  const keysOf = (examples) => examples.map((example) => example.key);
  const learnt = (label, examples) => ({ examples: examples.map((example) => example.body), ...(!examples.length && { descriptions: [label] }) });
  if (!of.task) {
    const classes = Object.fromEntries(wanted.map(([label, examples]) => [label, learnt(label, examples)]));
    const made = await call("POST", "tasks", { ...MODES[name].source, classes });
    of.task = { id: made.id, classes: Object.fromEntries(wanted.map(([label, examples]) => [label, keysOf(examples)])) };
    return;
  }
  const { id, classes } = of.task;
  const labels = wanted.map(([label]) => label);
  for (const [label, examples] of wanted) {
    const missing = examples.filter((example) => !own(classes, label)?.includes(example.key));
    if (!missing.length && own(classes, label)) continue;
    await call("POST", `tasks/${id}/examples`, { class: label, ...learnt(label, missing) });
    Object.defineProperty(classes, label, { value: [...(own(classes, label) ?? []), ...keysOf(missing)], enumerable: true, configurable: true, writable: true });
  }
  for (const label of Object.keys(classes).filter((one) => !labels.includes(one))) {
    await call("DELETE", `tasks/${id}/classes/${encodeURIComponent(label)}`);
    delete classes[label];
  }
  const gone = ([label, examples]) => classes[label].filter((key) => !keysOf(examples).includes(key));
  if (!wanted.some((one) => gone(one).length)) return;
  const listed = await call("GET", `tasks/${id}`); // it lists the examples of a class in the order in which they came
  for (const one of wanted) {
    const [label] = one;
    const ids = listed.classes[label].examples.map((example) => example.id);
    for (const key of gone(one)) await call("DELETE", `tasks/${id}/examples/${ids[classes[label].indexOf(key)]}`);
    const left = classes[label].filter((key) => !gone(one).includes(key));
    classes[label].splice(0, Infinity, ...left);
  }
}
let timer = 0;
let bringing = Promise.resolve();

function changed({ soon = false } = {}) { // something is to be told to the server
  save();
  steps();
  clearTimeout(timer);
  timer = setTimeout(tell, soon ? 0 : AT_REST);
}

function tell() {
  const [of, name] = [work(), state.mode];
  bringing = bringing.then(async () => {
    const patience = setTimeout(() => { $("status").textContent = "The first time, the network is made ready. This takes up to a minute."; }, 3000);
    try {
      await bring(of, name).catch(async (problem) => {
        if (problem.status !== 404 || !of.task) throw problem;
        of.task = null; // it was deleted, or the server has another store: make it again
        await bring(of, name);
      });
      quiet();
    } catch (problem) {
      if (problem.status !== 0 && problem.status !== 401) of.task = null; // half told: make it again from what is here
      complain(problem instanceof Problem ? problem : new Problem(`This page has a fault: ${problem.message}`));
    }
    clearTimeout(patience);
    if ($("status").textContent.startsWith("The first time")) $("status").textContent = "";
    save();
    steps();
    await ask();
    await suggest();
  });
}

// ---------------------------------------------------------------------------------------------------------------- answers

let asking = false;
let again = false;

async function ask() { // one question at a time; the newest one is asked next
  if (asking) { again = true; return; }
  const [of, thing] = [work(), work().probe];
  if (!of.task || !thing || !isThere(thing)) { show(null); return; }
  asking = true;
  try {
    const began = performance.now();
    const found = await call("POST", `tasks/${of.task.id}/predict`, { inputs: [sent(thing)], probabilities: true, ...mode().asked });
    if (of === work()) show(found.predictions[0], performance.now() - began);
  } catch (problem) {
    if (problem.status === 404) { of.task = null; changed({ soon: true }); }
    else if (problem.status === 422 || problem.status === 400) show({ error: problem.message });
    else complain(problem);
  } finally {
    asking = false;
    if (again) { again = false; ask(); }
  }
}

function show(found, took = 0) {
  const names = known().map((one) => one.name.trim());
  const answer = $("answer");
  const idle = !found || found.error;
  answer.classList.toggle("idle", Boolean(idle));
  $("next").hidden = Boolean(idle) || !names.length;
  document.querySelectorAll(".card").forEach((card) => card.classList.toggle("won", !idle && !found.unknown && card.dataset.name === found.label));
  if (idle) {
    answer.textContent = found?.error ?? (work().task ? mode().ready : names.length < 2 ? mode().idle : "Learning …");
    $("caption").textContent = "";
    bars(work().task ? names : [], {}, null);
    return;
  }
  const set = found.set ?? [found.label];
  answer.textContent = found.unknown ? "None of these, perhaps." : set.length > 1 && set.length < 4 ? `${either(set)}.` : found.probability < 0.6 ? `Perhaps ${found.label}.` : `This is ${found.label}.`;
  $("caption").textContent = found.unknown
    ? `${found.label} is nearest, but less like it than usual.`
    : set.length > 1 ? "Nine times out of ten, the right one has a dot." : "";
  bars(names, found.probabilities ?? { [found.label]: found.probability }, found);
  $("status").textContent = `Learnt from ${learntFrom()} · answered in ${Math.max(1, Math.round(took))} ms`;
  next(names, found, set);
}

function learntFrom() {
  const all = known();
  return `${count(all.reduce((sum, one) => sum + there(one).length, 0), mode().thing)} of ${count(all.length, mode().kind)}`;
}

function bars(names, probabilities, found) { // in the order of step 1: bars move, rows do not
  const list = $("bars");
  while (list.children.length > names.length) list.lastChild.remove();
  names.forEach((name, place) => {
    const row = list.children[place] ?? list.appendChild(
      el("li", {}, el("span", { className: "name" }), el("span", { className: "track" }, el("span", { className: "fill" })), el("span", { className: "value" })));
    const p = own(probabilities, name) ?? 0;
    row.querySelector(".name").textContent = name;
    row.querySelector(".name").title = name;
    row.querySelector(".fill").style.width = `${100 * p}%`;
    row.querySelector(".value").textContent = found ? percent(p) : "–";
    row.classList.toggle("top", Boolean(found) && !found.unknown && name === found.label);
    row.classList.toggle("in", Boolean(found?.set) && found.set.length > 1 && found.set.includes(name));
  });
}

function next(names, found, set) { // what to add next
  const few = (name) => there(known().find((one) => one.name.trim() === name) ?? { examples: [] }).length;
  const doubt = [found.label, found.second].filter((name) => name && names.includes(name)).sort((a, b) => few(a) - few(b));
  const unsure = set.length > 1 || found.probability < 0.8;
  $("next-text").textContent = found.unknown ? "Something new? Add it, and it is known from now on."
    : unsure && doubt.length ? `Next, show it one more ${doubt[0]}. Or add this one to what it was:` : `Add this ${mode().thing[0]} to what it was, and it learns from it:`;
  const p = (name) => own(found.probabilities ?? {}, name) ?? 0;
  const ordered = [...names].sort((a, b) => p(b) - p(a)).slice(0, 6);
  const chips = ordered.map((name) => el("button", { type: "button", textContent: name, onclick: () => learnProbe(name) }));
  const fresh = el("button", { type: "button", textContent: `A new ${mode().kind[0]}`, className: found.unknown ? "primary" : "", onclick: () => learnProbe(null) });
  $("chips").replaceChildren(...(found.unknown ? [fresh, ...chips] : [...chips, fresh]));
}

function learnProbe(name) {
  const probe = work().probe;
  const thing = { ...probe, ...(probe.strokes && { strokes: centred(probe.strokes) }), key: newKey() };
  if (name === null) {
    const spare = work().classes.find((one) => !there(one).length);
    const one = spare ?? newClass(mode().name(work().classes.length + 1) || `Kind ${work().classes.length + 1}`, state.mode);
    one.name = one.name.trim() || `Kind ${work().classes.length}`;
    one.examples = [thing];
    if (!spare) work().classes.push(one);
  } else {
    const examples = work().classes.find((one) => one.name.trim() === name).examples;
    if (examples.length && !isThere(examples.at(-1))) examples.splice(-1, 1, thing);
    else examples.push(thing);
  }
  work().pool = work().pool?.filter((one) => !thing.text || one.text !== thing.text);
  if (!cameraOn) work().probe = null;
  changed({ soon: true });
  render();
  const said = name ?? "something new";
  $("status").textContent = `Added to ${said}.`;
}

// ---------------------------------------------------------------------------------------------------------------- what to label next

const POOL = 16; // things that were tried and not added, of which the server says which would teach most

function tried(thing) { // it leaves step 2 without a label
  if (!thing || !isThere(thing)) return;
  const others = (work().pool ?? []).filter((one) => !thing.text || one.text !== thing.text);
  work().pool = [...others, { ...thing, ...(thing.strokes && { strokes: centred(thing.strokes) }), key: newKey() }].slice(-POOL);
}

async function suggest() {
  const [of, pool] = [work(), work().pool ?? []];
  if (!of.task || pool.length < 2) { $("suggested").hidden = true; return; }
  const found = await call("POST", `tasks/${of.task.id}/suggest`, { inputs: pool.map(sent), count: 1 }).catch(() => null); // no answer, no advice
  if (of !== work()) return;
  const best = pool[found?.suggestions[0]?.input];
  $("suggested").hidden = !best;
  if (!best) return;
  const show = () => { of.pool = of.pool.filter((one) => one !== best); of.probe = best; save(); render(); };
  const look = best.text ? el("button", { type: "button", className: "more", textContent: best.text, onclick: show }) : thumb(best, show, "Look at this again");
  $("suggested").replaceChildren(el("p", { textContent: `Of what you tried, this ${mode().thing[0]} would teach it most. What is it?` }), look);
}

// ---------------------------------------------------------------------------------------------------------------- messages

function complain(problem) {
  const asksForKey = problem.status === 401;
  $("notice-text").textContent = asksForKey ? "This server asks for a key. It is kept in this window only." : problem.message ?? problem;
  $("key-form").hidden = !asksForKey;
  $("notice-again").hidden = asksForKey || !problem.message;
  $("notice").hidden = false;
}
function quiet() { $("notice").hidden = true; }

// ---------------------------------------------------------------------------------------------------------------- drawing

function trace(context, strokes, side, width) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(points[0] * side, points[1] * side);
    if (points.length === 2) context.lineTo(points[0] * side + 0.1, points[1] * side);
    for (let i = 2; i < points.length; i += 2) context.lineTo(points[i] * side, points[i + 1] * side);
    context.stroke();
  }
}

function centred(strokes) { // in the middle of a square, as large as fits well; what it is does not depend on size and place
  const side = (axis) => strokes.flatMap((points) => points.filter((_, i) => i % 2 === axis));
  const [low, high] = [0, 1].map((axis) => [Math.min(...side(axis)), Math.max(...side(axis))]).reduce((a, b) => a.map((value, i) => [value, b[i]]));
  const scale = Math.min(3, 0.72 / Math.max(high[0] - low[0], high[1] - low[1], 0.01));
  return strokes.map((points) => points.map((value, i) => Math.round(1000 * (0.5 + scale * (value - (low[i % 2] + high[i % 2]) / 2))) / 1000));
}

function picture(strokes) { // black on white, in the shape of the pad: base64 of a PNG
  const low = Math.max(1, ...strokes.flatMap((points) => points.filter((_, i) => i % 2)));
  const canvas = el("canvas", { width: SIDE, height: Math.ceil(SIDE * low) });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  trace(context, strokes, SIDE, 9);
  return canvas.toDataURL("image/png").split(",")[1];
}

function paint(canvas, strokes, cursor = null) {
  const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  if (!width) return;
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.strokeStyle = getComputedStyle(canvas).color;
  trace(context, strokes, width, Math.max(1.6, 0.033 * width));
  if (cursor) {
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(cursor[0] * width, cursor[1] * width, cursor[2] ? 4 : 8, 0, 7);
    context.stroke();
  }
}

function pad({ strokes, label, hint, moved, done, cleared, again }) {
  const canvas = el("canvas", {
    tabIndex: 0, role: "application",
    "aria-label": `${label}. Draw with mouse, pen or finger. By keyboard: arrow keys move, Space puts the pen down and lifts it, Delete clears.`,
  });
  const shown = el("p", { className: "hint", textContent: hint });
  const clear = el("button", again ? { type: "button", className: "again", textContent: again }
    : { type: "button", className: "icon", textContent: "↺", title: "Clear", "aria-label": `Clear ${label}` });
  let cursor = null; // of the keyboard: x, y, whether the pen is down
  const repaint = () => { paint(canvas, strokes, cursor); shown.hidden = strokes.length > 0 || cursor !== null; clear.hidden = !strokes.length; };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((value) => Math.round((1000 * value) / box.width) / 1000);
  };
  const put = (x, y) => {
    const points = strokes.at(-1);
    if (Math.hypot(x - points.at(-2), y - points.at(-1)) > 0.004) points.push(x, y);
  };
  canvas.onpointerdown = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true, focusVisible: false });
    canvas.setPointerCapture(event.pointerId);
    cursor = null;
    strokes.push(at(event));
    repaint();
  };
  canvas.onpointermove = (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length ? passed : [event]) put(...at(one));
    repaint();
    moved?.();
  };
  canvas.onpointerup = () => done();
  canvas.onpointercancel = () => done();
  canvas.onkeydown = (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const low = canvas.clientHeight / canvas.clientWidth;
    if (dx || dy) {
      cursor ??= [0.5, low / 2, false];
      const step = event.shiftKey ? 0.015 : 0.05;
      cursor = [Math.min(0.97, Math.max(0.03, cursor[0] + step * dx)), Math.min(low - 0.03, Math.max(0.03, cursor[1] + step * dy)), cursor[2]];
      if (cursor[2]) { put(cursor[0], cursor[1]); moved?.(); }
    } else if (event.key === " ") {
      cursor ??= [0.5, low / 2, false];
      cursor[2] = !cursor[2];
      if (cursor[2]) strokes.push([cursor[0], cursor[1]]);
      else done();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      cleared?.();
      strokes.length = 0;
      done();
    } else return;
    event.preventDefault();
    repaint();
  };
  canvas.onblur = () => { if (cursor?.[2]) done(); cursor = null; repaint(); };
  clear.onclick = () => { cleared?.(); strokes.length = 0; repaint(); done(); canvas.focus({ preventScroll: true, focusVisible: false }); };
  new ResizeObserver(repaint).observe(canvas);
  return again ? el("div", {}, el("div", { className: "pad" }, canvas, shown), clear) : el("div", { className: "pad" }, canvas, shown, clear);
}

// ---------------------------------------------------------------------------------------------------------------- photos

let cameraOn = null; // the video element

function shrunk(source, width, height) {
  const scale = Math.min(1, PHOTO / Math.max(width, height));
  const canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.86).split(",")[1];
}

async function photosOf(files) {
  const found = [];
  for (const file of files) {
    try {
      const bitmap = await createImageBitmap(file);
      found.push({ key: newKey(), image: shrunk(bitmap, bitmap.width, bitmap.height) });
    } catch {
      complain(`This browser cannot open ${file.name} as a picture. Choose a JPEG or PNG file.`);
    }
  }
  return found;
}

const fromCamera = () => ({ key: newKey(), image: shrunk(cameraOn, cameraOn.videoWidth, cameraOn.videoHeight) });

async function camera(on) {
  cameraOn?.srcObject?.getTracks().forEach((track) => track.stop());
  cameraOn = null;
  if (on) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 960 } } });
      cameraOn = el("video", { srcObject: stream, muted: true, autoplay: true, playsInline: true });
      await cameraOn.play();
    } catch {
      cameraOn = null;
      complain("There is no camera that this page may use. Allow it in the browser, or choose photos instead.");
    }
  }
  render();
  const frame = async () => { // one frame after the other, as quickly as they are answered
    if (!cameraOn || state.mode !== "photos") return;
    work().probe = fromCamera();
    await ask();
    setTimeout(frame, 250);
  };
  if (cameraOn) frame();
}

function chooser(text, add) {
  const input = el("input", { type: "file", accept: "image/*", multiple: true });
  input.onchange = async () => { add(await photosOf(input.files)); input.value = ""; };
  return el("label", {}, text, input);
}

function dropping(box, add) {
  box.ondragover = (event) => { event.preventDefault(); box.classList.add("over"); };
  box.ondragleave = () => box.classList.remove("over");
  box.ondrop = async (event) => { event.preventDefault(); box.classList.remove("over"); add(await photosOf(event.dataTransfer.files)); };
  return box;
}

// ---------------------------------------------------------------------------------------------------------------- step 1

function thumb(example, press, label) {
  const look = example.image ? el("img", { src: `data:image/jpeg;base64,${example.image}`, alt: "" }) : el("canvas");
  if (example.strokes) requestAnimationFrame(() => paint(look, example.strokes));
  return el("button", { type: "button", className: "thumb", title: label, "aria-label": label, onclick: press }, look);
}

function removable(example, name, drop) {
  const made = thumb(example, drop, `Remove this example of ${name}`);
  made.classList.add("removable");
  return made;
}

function card(one, place) {
  const label = one.name.trim() || `${mode().kind[0]} ${place + 1}`;
  const drop = (example) => { one.examples = one.examples.filter((other) => other !== example); changed({ soon: true }); render(); };
  const add = (examples) => { one.examples.push(...examples); changed({ soon: true }); render(); };
  const name = el("input", { value: one.name, placeholder: state.mode === "texts" ? "Kind, such as Billing" : "Name", maxLength: 60, "aria-label": `Name of ${label}` });
  const twice = () => name.setAttribute("aria-invalid", String(work().classes.some((other) => other !== one && other.name.trim() && other.name.trim() === one.name.trim())));
  name.oninput = () => {
    one.name = name.value;
    twice();
    name.closest(".card").dataset.name = one.name.trim();
    $("status").textContent = name.getAttribute("aria-invalid") === "true" ? "Two have this name; the second is left out until it has its own." : "";
    changed();
  };
  twice();
  const remove = el("button", { type: "button", className: "icon", textContent: "×", title: "Remove", "aria-label": `Remove ${label}` });
  remove.onclick = () => {
    work().classes = work().classes.filter((other) => other !== one);
    changed({ soon: true });
    render();
    ($("cards").querySelector(".add-card")).focus();
  };
  const head = el("div", { className: "card-head" }, name, remove);
  const made = el("li", { className: "card" }, head, ...BODIES[state.mode](one, label, add, drop));
  made.dataset.name = one.name.trim();
  return made;
}

const BODIES = {
  draw(one, label, add, drop) {
    if (!one.examples.length) one.examples.push(newDrawing());
    const open = one.examples.at(-1);
    const done = () => { const fresh = { ...open, key: newKey() }; Object.assign(open, fresh); changed(); extra.hidden = !open.strokes.length; };
    const area = pad({ strokes: open.strokes, label, hint: "Draw here", done });
    const extra = el("button", { type: "button", className: "more", textContent: "+ one more", hidden: !open.strokes.length, onclick: () => add([newDrawing()]) });
    const earlier = one.examples.slice(0, -1).map((example) => removable(example, label, () => drop(example)));
    return [area, el("div", { className: "thumbs" }, ...earlier, extra)];
  },
  photos(one, label, add, drop) {
    const snap = el("button", { type: "button", textContent: cameraOn ? "Take it now" : "Camera", className: cameraOn ? "primary" : "" });
    snap.onclick = () => (cameraOn ? add([fromCamera()]) : camera(true));
    const blank = one.examples.length ? null : el("p", { className: "blank", textContent: "No photo yet" });
    const shown = one.examples.map((example) => removable(example, label, () => drop(example)));
    return [
      dropping(el("div", { className: "thumbs" }, blank, ...shown), add),
      el("div", { className: "tools" }, chooser(one.examples.length ? "More photos" : "Add photos", add), snap),
    ];
  },
  texts(one, label, add, drop) {
    const field = el("input", { placeholder: one.examples.length ? "One more" : "An example", "aria-label": `An example of ${label}`, maxLength: 2000 });
    const form = el("form", { className: "add-line" }, field, el("button", { type: "submit", textContent: "Add" }));
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!field.value.trim()) return;
      const place = work().classes.indexOf(one);
      add([{ key: newKey(), text: field.value.trim() }]);
      $("cards").children[place].querySelector(".add-line input").focus();
    };
    const lines = one.examples.map((example) =>
      el("li", {}, el("p", { textContent: example.text }),
        el("button", { type: "button", className: "icon", textContent: "×", "aria-label": `Remove this example of ${label}`, onclick: () => drop(example) })));
    return [el("ul", { className: "lines", hidden: !lines.length }, ...lines), form];
  },
};

// ---------------------------------------------------------------------------------------------------------------- step 2

let lately = 0;
function live() { // while a stroke is drawn or a text is written
  if (performance.now() - lately < LIVE) return;
  lately = performance.now();
  ask();
}

const PROBES = {
  draw() {
    const open = work().probe ?? (work().probe = newDrawing());
    const done = () => { save(); ask(); };
    return pad({ strokes: open.strokes, label: "The drawing to recognise", hint: "Draw here", again: "Draw another", moved: live, done, cleared: () => { tried(open); suggest(); } });
  },
  photos() {
    const set = ([first]) => { if (first) { tried(work().probe); work().probe = first; save(); render(); ask(); } };
    const tools = el("div", { className: "tools" },
      cameraOn ? null : chooser("Choose a photo", set),
      el("button", { type: "button", textContent: cameraOn ? "Stop the camera" : "Use the camera", onclick: () => camera(!cameraOn) }));
    requestAnimationFrame(() => cameraOn?.play().catch(() => null)); // it stops when it is moved
    const look = cameraOn ?? (work().probe ? el("img", { src: `data:image/jpeg;base64,${work().probe.image}`, alt: "The photo to recognise" }) : null);
    return dropping(el("div", { className: look ? "drop full" : "drop" }, look, look ? null : el("p", { textContent: "Drop a photo here, or" }), tools), set);
  },
  texts() {
    const field = el("textarea", { placeholder: "Write or paste a message", maxLength: 5000, value: work().probe?.text ?? "", "aria-label": "The message to recognise" });
    let wait = 0;
    field.onchange = () => { if (work().probe) { tried(work().probe); save(); } };
    field.oninput = () => {
      work().probe = field.value.trim() ? { key: newKey(), text: field.value.trim() } : null;
      live();
      clearTimeout(wait);
      wait = setTimeout(() => { save(); ask(); }, 180);
    };
    return field;
  },
};

// ---------------------------------------------------------------------------------------------------------------- the whole

function steps() { // which step is the next one
  const enough = known().length > 1;
  $("go").hidden = !enough; // on a telephone, step 2 lies below
  document.querySelector(".teach").classList.toggle("now", !enough);
  document.querySelector(".try").classList.toggle("now", enough);
  if (enough && !work().probe?.strokes?.length && !work().task) $("answer").textContent = "Learning …";
}

function render() {
  const [of, words] = [work(), mode()];
  document.body.className = state.mode === "draw" ? "" : `wide ${state.mode}`;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.mode === state.mode;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  $("work").setAttribute("aria-labelledby", `tab-${state.mode}`);
  const texts = { lead: words.lead, "teach-title": words.teach, "teach-help": words.help, "try-title": words.try, "try-help": words.tryHelp };
  for (const [id, text] of Object.entries(texts)) $(id).textContent = text;
  const more = el("button", { type: "button", className: "add-card" }, el("span", { textContent: "+", "aria-hidden": "true" }), words.add);
  more.onclick = () => {
    const taken = new Set(of.classes.map((one) => one.name));
    let number = of.classes.length + 1;
    while (taken.has(words.name(number)) && words.name(number)) number += 1;
    of.classes.push(newClass(words.name(number), state.mode));
    save();
    render();
    $("cards").children[of.classes.length - 1].querySelector(state.mode === "draw" ? "canvas" : "input").focus();
  };
  $("cards").replaceChildren(...of.classes.map(card), el("li", {}, more));
  $("probe").replaceChildren(PROBES[state.mode]());
  $("fresh").hidden = !of.task && !of.classes.some((one) => there(one).length);
  $("sample").hidden = !SAMPLES[state.mode] || known().some((one) => there(one).length);
  steps();
  show(null);
  if (of.task) ask();
  suggest();
}

const arc = (x, y, r, from, to, grow = 0) =>
  Array.from({ length: 40 }, (_, i) => { const t = i / 39; const a = from + (to - from) * t; const q = r + grow * t; return [x + q * Math.cos(a), y + q * Math.sin(a)]; })
    .flat().map((value) => Math.round(1000 * value) / 1000);
const SAMPLES = {
  draw: () => [
    ["Spiral", [arc(0.5, 0.5, 0.03, 0, 14, 0.3)]],
    ["House", [[0.25, 0.8, 0.25, 0.45, 0.5, 0.2, 0.75, 0.45, 0.75, 0.8, 0.25, 0.8], [0.45, 0.8, 0.45, 0.6, 0.57, 0.6, 0.57, 0.8]]],
    ["Wave", [[...arc(0.29, 0.5, 0.14, Math.PI, 2 * Math.PI), ...arc(0.57, 0.5, 0.14, Math.PI, 0), ...arc(0.8, 0.5, 0.09, Math.PI, 2 * Math.PI)]]],
  ].map(([name, strokes]) => ({ key: newKey(), name, examples: [newDrawing(strokes)] })),
  texts: () => [
    ["Billing", "I was charged twice this month"],
    ["Delivery", "My parcel has not arrived yet"],
    ["Praise", "Thank you, that was quick and friendly"],
  ].map(([name, text]) => ({ key: newKey(), name, examples: [{ key: newKey(), text }] })),
};

$("sample").onclick = () => { work().classes = SAMPLES[state.mode](); changed({ soon: true }); render(); };
$("fresh").onclick = () => {
  const old = work();
  if (cameraOn) camera(false);
  bringing = bringing.then(() => old.task && call("DELETE", `tasks/${old.task.id}`).catch(() => null)); // once it is made
  state[state.mode] = emptyWork(state.mode);
  $("status").textContent = "";
  quiet();
  changed({ soon: true });
  render();
};
$("notice-close").onclick = quiet;
$("notice-again").onclick = () => { quiet(); tell(); };
$("key-form").onsubmit = (event) => { event.preventDefault(); sessionStorage.setItem("kshot.key", $("key").value.trim()); $("key").value = ""; quiet(); tell(); };
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.onclick = () => { if (cameraOn) camera(false); state.mode = tab.dataset.mode; quiet(); $("status").textContent = ""; changed({ soon: true }); render(); };
  tab.onkeydown = (event) => {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const other = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    other.click();
    other.focus();
  };
}
matchMedia("(prefers-color-scheme: dark)").onchange = render;
render();
if (known().length > 1) tell();
