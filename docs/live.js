// The live page: a small AlexNet of two columns, run by onnxruntime-web in this browser.
// docs/live.py writes the network (network.onnx) and what goes with it (live.json).
"use strict";

const HOME = new URL("_static/live/", document.baseURI).href;
const SIDE = 28;
const get = (id) => document.getElementById(id);

// The rows of "What each column sees", from top to bottom: maps of a layer, or what crosses.
const ROWS = [
  { layer: "conv1", output: "conv1_relu" },
  { layer: "conv2", output: "conv2_relu" },
  { into: "conv3", output: "pool2_maxpool", both: true },
  { layer: "conv3", output: "conv3_relu" },
  { layer: "conv4", output: "conv4_relu" },
  { layer: "conv5", output: "conv5_relu" },
  { into: "fc6", output: "pool5_maxpool", both: true },
  { into: "fc7", output: "fc6_relu", both: true },
  { into: "fc8", output: "fc7_relu", both: false }, // column 0 owns fc8
];

let about; // live.json: {classes, size, scale, mean, labels, pictures}
let session; // of onnxruntime
const pixels = new Uint8ClampedArray(SIDE * SIDE); // what is on the board, 0 black to 255 white
const pen = { x: 14, y: 14, down: false, shown: false }; // of the keyboard

// ---------------------------------------------------------------------------- the network

async function start() {
  try {
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
    ort.env.wasm.wasmPaths = HOME;
    about = await (await fetchFile("live.json")).json();
    const network = await (await fetchFile("network.onnx")).arrayBuffer();
    session = await ort.InferenceSession.create(network, { logSeverityLevel: 3 });
  } catch (error) {
    get("status").textContent = location.protocol === "file:"
      ? "A browser does not load the network from a file. Use a file server: make serve."
      : `The network could not be loaded: ${error.message}`;
    return;
  }
  offerPictures();
  for (const control of document.querySelectorAll("#live :disabled")) control.disabled = false;
  const chosen = /^#picture-(\d+)$/.exec(location.hash);
  choose(chosen && chosen[1] < about.labels.length ? Number(chosen[1]) : 0);
}

async function fetchFile(name) {
  const answer = await fetch(HOME + name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

// Picture (28 * 28 numbers, 0 to 255) -> {name of an output: {dims, data}}. exchange: 1 or 0.
async function network(picture, exchange) {
  const data = Float32Array.from(picture, (value, i) => (value - about.mean[i]) * about.scale);
  return session.run({
    data: new ort.Tensor("float32", data, [1, 1, SIDE, SIDE]),
    exchange: new ort.Tensor("float32", [exchange], []),
  });
}

let running = false, again = false;

// Show what the network makes of the board. While it runs, later calls wait for one more run.
async function update() {
  drawBoard();
  again = true;
  if (running || !session) return;
  running = true;
  while (again) {
    again = false;
    const exchange = get("exchange").checked;
    const outputs = await network(pixels, exchange ? 1 : 0);
    showAnswers(outputs, exchange);
    showMaps(outputs, exchange);
  }
  running = false;
  get("status").textContent = "";
  get("status").hidden = true;
  get("live").setAttribute("aria-busy", "false");
}

// ---------------------------------------------------------------------------- what comes out

function best(probabilities) {
  return Array.from(probabilities, (share, label) => ({ share, name: about.classes[label] }))
    .sort((a, b) => b.share - a.share).slice(0, 5);
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function showAnswers(outputs, exchange) {
  const count = about.classes.length;
  const lists = exchange
    ? [["Both columns together", outputs.prob.data, "both"]]
    : [0, 1].map((column) => [`Column ${column} alone`,
      outputs.alone.data.slice(column * count, (column + 1) * count), `column${column}`]);
  const picture = document.querySelector("#pictures :checked");
  const right = picture && about.classes[about.labels[picture.value]];
  get("answers").replaceChildren(...lists.map(([title, probabilities, look]) => {
    const part = document.createElement("div");
    part.className = look;
    const heading = document.createElement("h3");
    heading.textContent = title;
    const list = document.createElement("ol");
    for (const { share, name } of best(probabilities)) {
      const item = document.createElement("li");
      item.style.setProperty("--share", share);
      item.append(name === right ? `${name} ✓` : name, Object.assign(document.createElement("span"), { textContent: percent(share) }));
      list.append(item);
    }
    part.append(heading, list);
    return part;
  }));
  get("summary").textContent = lists.map(([title, probabilities]) => {
    const { name, share } = best(probabilities)[0];
    return `${title}: ${name}, ${percent(share)}.`;
  }).join(" ") + (right ? ` Right is: ${right}.` : "");
}

function showMaps(outputs, exchange) {
  if (!document.querySelector("#maps canvas")) ROWS.forEach(addRow);
  let total = 0;
  ROWS.forEach((row, i) => {
    const { dims, data } = outputs[row.output];
    const half = data.length / 2, most = data.reduce((a, b) => Math.max(a, b), 0);
    for (const column of [0, 1]) {
      const canvas = get(`maps-${i}-${column}`);
      const part = data.subarray(column * half, (column + 1) * half);
      const [maps, rows, across] = dims.length === 4 ? [dims[1] / 2, dims[2], dims[3]] : [half, 1, 1];
      drawMaps(canvas, part, maps, rows, across, most);
      const zero = part.reduce((n, value) => n + (value === 0), 0) / half;
      const what = dims.length === 4 ? `${maps} maps of ${rows}x${across}` : `${maps} units`;
      canvas.setAttribute("aria-label", `${row.layer || "into " + row.into}, column ${column}: ` +
        `${what}, ${Math.round(100 * zero)} % of the numbers are zero, ` +
        `the largest is ${Math.max(...part).toFixed(1)}`);
      if (row.layer) {
        get(`text-${i}-${column}`).textContent = `${row.layer}: ${what}`;
      } else {
        const sends = row.both || column === 1, bytes = (4 * half).toLocaleString("en");
        if (sends && exchange) total += 4 * half; // float32
        const arrow = column === 0 ? "→" : "←";
        canvas.classList.toggle("cut", !(exchange && sends));
        get(`text-${i}-${column}`).textContent = !sends ? `stays: column 0 owns ${row.into}`
          : exchange ? `${arrow} ${what}, ${bytes} bytes, into ${row.into}`
            : `cut: nothing crosses into ${row.into}`;
      }
    }
  });
  get("total").textContent = `In all: ${total.toLocaleString("en")} bytes for this picture. ` +
    "The full network of 2012 sends 234,496.";
}

function addRow(row, i) {
  for (const column of [0, 1]) {
    const figure = document.createElement("figure");
    figure.className = `${row.layer ? "maps" : "crossing"} column${column}`;
    const canvas = document.createElement("canvas");
    canvas.id = `maps-${i}-${column}`;
    canvas.setAttribute("role", "img");
    const caption = document.createElement("figcaption");
    caption.id = `text-${i}-${column}`;
    figure.append(...(row.layer ? [caption, canvas] : [canvas, caption]));
    get("maps").append(figure);
  }
}

// Maps side by side with a line between them. `most` is white; by square roots, so that weak answers
// are seen beside strong ones.
function drawMaps(canvas, data, maps, rows, across, most) {
  const wide = maps < 16 ? 4 : maps < 40 ? 8 : maps < 100 ? 12 : 32;
  const gap = rows > 1 ? 1 : 0;
  canvas.width = wide * (across + gap) - gap;
  canvas.height = Math.ceil(maps / wide) * (rows + gap) - gap;
  const image = new ImageData(canvas.width, canvas.height);
  for (let m = 0; m < maps; m++) {
    const left = (m % wide) * (across + gap), top = Math.floor(m / wide) * (rows + gap);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < across; x++) {
        const value = most ? 255 * Math.sqrt(data[(m * rows + y) * across + x] / most) : 0;
        image.data.set([value, value, value, 255], 4 * ((top + y) * canvas.width + left + x));
      }
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// ---------------------------------------------------------------------------- what goes in

function offerPictures() {
  about.labels.forEach((label, i) => {
    const choice = document.createElement("label");
    const name = `${about.classes[label]} ${i % 2 + 1}`; // two of each class
    const radio = Object.assign(document.createElement("input"),
      { type: "radio", name: "picture", value: i });
    const image = Object.assign(document.createElement("img"),
      { src: `${HOME}picture-${i}.png`, alt: name, title: name, width: 44, height: 44 });
    radio.addEventListener("change", () => choose(i));
    choice.append(radio, image);
    get("pictures").append(choice);
  });
}

function choose(i) {
  const all = Uint8Array.from(atob(about.pictures), (letter) => letter.charCodeAt(0));
  pixels.set(all.subarray(i * pixels.length, (i + 1) * pixels.length));
  document.querySelector(`#pictures [value="${i}"]`).checked = true;
  update();
}

// The board no longer shows one of the pictures.
function changed() {
  const picture = document.querySelector("#pictures :checked");
  if (picture) picture.checked = false;
  update();
}

function drawBoard() {
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  if (pen.shown) image.data.set([237, 137, 54, 255], 4 * (pen.y * SIDE + pen.x));
  get("board").getContext("2d").putImageData(image, 0, 0);
}

// A soft dot around (x, y), in pixels of the board.
function dot(x, y) {
  const ink = Number(document.querySelector("[name=pen]:checked").value);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const cover = Math.min(1, Math.max(0, 2 - Math.hypot(column + 0.5 - x, row + 0.5 - y)));
      const i = row * SIDE + column;
      pixels[i] = pixels[i] + cover * (ink - pixels[i]);
    }
  }
}

let last = null; // where mouse or finger were
function stroke(event) {
  const box = get("board").getBoundingClientRect();
  const here = [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  const from = last || here, steps = Math.ceil(Math.hypot(here[0] - from[0], here[1] - from[1])) || 1;
  for (let step = 1; step <= steps; step++) {
    dot(from[0] + (here[0] - from[0]) * step / steps, from[1] + (here[1] - from[1]) * step / steps);
  }
  last = here;
  changed();
}

function key(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const move = moves[event.key];
  if (move) {
    pen.x = Math.min(SIDE - 1, Math.max(0, pen.x + move[0]));
    pen.y = Math.min(SIDE - 1, Math.max(0, pen.y + move[1]));
  } else if (event.key === " ") {
    pen.down = !pen.down;
  } else if (event.key === "Delete" || event.key === "Backspace") {
    clear();
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation(); // the theme turns pages with the arrow keys
  get("pen").textContent = `pen ${pen.down ? "down" : "up"}, row ${pen.y + 1}, column ${pen.x + 1}`;
  if (pen.down) {
    dot(pen.x + 0.5, pen.y + 0.5);
    changed();
  } else {
    drawBoard();
  }
}

function clear() {
  pixels.fill(0);
  changed();
}

// The central square of a photograph, as brightness (ITU-R BT.601), as `minialex predict` takes it.
async function load(file) {
  let photograph;
  try {
    photograph = await createImageBitmap(file);
  } catch {
    get("status").hidden = false;
    get("status").textContent = `${file.name} is no picture that this browser can read.`;
    return;
  }
  let side = Math.min(photograph.width, photograph.height), source = photograph;
  let left = (photograph.width - side) / 2, top = (photograph.height - side) / 2;
  const canvas = document.createElement("canvas");
  for (let size = side; size > SIDE; [source, side, left, top] = [canvas, size, 0, 0]) {
    size = Math.max(SIDE, Math.ceil(size / 2)); // by halves, so that every pixel counts
    const smaller = document.createElement("canvas");
    smaller.width = smaller.height = size;
    smaller.getContext("2d").drawImage(source, left, top, side, side, 0, 0, size, size);
    canvas.width = canvas.height = size;
    canvas.getContext("2d").drawImage(smaller, 0, 0);
  }
  const { data } = canvas.getContext("2d").getImageData(0, 0, SIDE, SIDE);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
  }
  // The network has only seen bright clothes on black.
  const edge = pixels.filter((_, i) => i < SIDE || i >= SIDE * (SIDE - 1) || i % SIDE === 0);
  if (edge.reduce((a, b) => a + b, 0) / edge.length > 127) invert();
  changed();
}

function invert() {
  pixels.forEach((value, i) => { pixels[i] = 255 - value; });
  changed();
}

// ---------------------------------------------------------------------------- mouse, keys, buttons

const board = get("board");
board.addEventListener("pointerdown", (event) => {
  board.setPointerCapture(event.pointerId);
  last = null;
  stroke(event);
});
board.addEventListener("pointermove", (event) => { if (event.buttons) stroke(event); });
board.addEventListener("keydown", key);
board.addEventListener("focus", () => { pen.shown = board.matches(":focus-visible"); drawBoard(); });
board.addEventListener("blur", () => { pen.shown = pen.down = false; drawBoard(); });
get("clear").addEventListener("click", clear);
get("invert").addEventListener("click", invert);
get("exchange").addEventListener("change", update);
get("file").addEventListener("change", (event) => { if (event.target.files[0]) load(event.target.files[0]); });

const started = start(); // a test waits for it
