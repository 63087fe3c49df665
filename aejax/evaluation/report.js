// Shows tiles of images at whole multiples of their pixels, without the labels left of them.
function fit() {
  for (const img of document.querySelectorAll("img[data-factor]")) {
    const [factor, left] = [+img.dataset.factor, +img.dataset.left];
    const width = +img.getAttribute("width") - left;
    const room = Math.min(760, img.closest("figure").clientWidth);
    const whole = Math.min(factor, Math.floor(room / width * factor));
    const scale = whole ? whole / factor : room / width;
    img.style.imageRendering = whole ? "pixelated" : "auto";
    img.style.maxWidth = "none";
    img.style.width = (width + left) * scale + "px";
    img.style.marginLeft = -left * scale + "px";
    img.parentElement.style.width = width * scale + "px";
  }
}
addEventListener("resize", fit);
fit();

// A click on a picture shows it at its own size.
const viewer = document.getElementById("viewer");
for (const button of document.querySelectorAll("button.zoom"))
  button.addEventListener("click", () => {
    const [shown, img] = [viewer.querySelector("img"), button.querySelector("img")];
    [shown.src, shown.alt] = [img.src, img.alt];
    shown.style.width = img.src.startsWith("data:image/svg") ? img.getAttribute("width") + "px" : "";
    viewer.showModal();
  });
viewer.addEventListener("click", event => event.target.tagName == "IMG" || viewer.close());

// Folded explanations are printed too.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => d.open = true));

// Shows the image that is decoded from the chosen point of a latent plane.
for (const box of document.querySelectorAll(".plane")) {
  const about = JSON.parse(box.dataset.about);
  const [map, tile] = box.querySelectorAll("canvas");
  const [text, choice] = [box.querySelector("output"), box.querySelector("select")];
  const sprite = new Image();
  const pen = map.getContext("2d");
  const margin = 64, size = map.width - margin - 28;
  let [x, y] = [0, 0];
  const plane = () => about.planes[choice ? +choice.value : 0];
  const across = v => margin + (v + plane().extent) / (2 * plane().extent) * size;
  const down = v => 12 + (plane().extent - v) / (2 * plane().extent) * size;
  function draw() {
    const { axes, extent, zero, points, marks } = plane();
    const short = axes.map(a => a.startsWith("z") ? a : a.replace("principal axis ", "axis "));
    pen.clearRect(0, 0, map.width, map.height);
    pen.font = "24px system-ui, sans-serif";
    pen.strokeStyle = "#666";
    pen.fillStyle = "#222";
    pen.lineWidth = 2;
    pen.strokeRect(margin, 12, size, size);
    const step = [.5, 1, 2, 5, 10, 20, 50, 100].find(s => 2 * extent / s <= 8) || extent;
    for (let tick = Math.ceil(-extent / step) * step; tick <= extent; tick += step) {
      pen.textAlign = "center";
      pen.fillText(+tick.toFixed(2), across(tick), 12 + size + 26);
      pen.textAlign = "right";
      pen.fillText(+tick.toFixed(2), margin - 6, down(tick) + 8);
    }
    pen.textAlign = "right";
    pen.fillText(short[0] + " →", margin + size - 8, 12 + size - 12);
    pen.textAlign = "left";
    pen.fillText("↑ " + short[1], margin + 8, 42);
    pen.save();
    pen.beginPath();
    pen.rect(margin, 12, size, size);
    pen.clip();
    for (const radius of about.circles) {
      pen.beginPath();
      pen.arc(across(zero[0]), down(zero[1]), radius * size / (2 * extent), 0, 2 * Math.PI);
      pen.stroke();
    }
    for (const [a, b, number] of points) {
      pen.fillStyle = about.colours[number];
      pen.fillRect(across(a) - 2.5, down(b) - 2.5, 5, 5);
    }
    const write = (label, a, b) => {
      pen.strokeStyle = "#fff";
      pen.lineWidth = 6;
      pen.strokeText(label, across(a), down(b) + 8);
      pen.fillText(label, across(a), down(b) + 8);
    };
    // The name of each class is at its middle, for those who do not tell its colour.
    pen.fillStyle = "#222";
    pen.textAlign = "center";
    about.classes.forEach(([name], number) => {
      const own = points.filter(p => p[2] == number);
      const middle = k => own.map(p => p[k]).sort((a, b) => a - b)[own.length >> 1];
      if (own.length && about.classes.length <= 20) write(name, middle(0), middle(1));
    });
    pen.textAlign = "left";
    for (const [a, b, label] of marks) pen.fillText("✕ " + label, across(a) - 8, down(b) + 8);
    pen.strokeStyle = "#222";
    pen.lineWidth = 3;
    pen.strokeRect(across(x) - 9, down(y) - 9, 18, 18);
    pen.restore();
    const side = about.side;
    const cell = v => Math.min(side - 1, Math.max(0, Math.round((v + extent) / (2 * extent) * (side - 1))));
    const [w, h] = [sprite.width / side, sprite.height / side / about.planes.length];
    const top = (choice ? +choice.value : 0) * side;
    const out = tile.getContext("2d");
    out.imageSmoothingEnabled = false;
    if (sprite.width) out.drawImage(sprite, cell(x) * w, (top + cell(-y)) * h, w, h, 0, 0, tile.width, tile.height);
    text.value = `(${x.toFixed(2)}, ${y.toFixed(2)})`;
  }
  function move(event) {
    const area = map.getBoundingClientRect();
    const limit = v => Math.max(-plane().extent, Math.min(plane().extent, v));
    const scale = map.width / area.width, unit = 2 * plane().extent / size;
    x = limit(((event.clientX - area.left) * scale - margin) * unit - plane().extent);
    y = limit(plane().extent - ((event.clientY - area.top) * scale - 12) * unit);
    draw();
  }
  map.addEventListener("pointerdown", move);
  map.addEventListener("pointermove", move);
  map.addEventListener("keydown", event => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const { extent } = plane(), step = 2 * extent / (about.side - 1);
    x = Math.max(-extent, Math.min(extent, x + by[0] * step));
    y = Math.max(-extent, Math.min(extent, y + by[1] * step));
    draw();
  });
  if (choice) choice.addEventListener("change", () => { [x, y] = [0, 0]; draw(); });
  sprite.onload = draw;
  sprite.src = box.dataset.sprite;
}
