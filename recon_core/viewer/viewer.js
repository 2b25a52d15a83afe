// SPDX-License-Identifier: Apache-2.0
// A point viewer without libraries: rotate, project, z-buffer discs into an ImageData, shade depth steps.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const stage = document.getElementById("stage");
  const context = stage.getContext("2d");
  const still = { azimuth: 30, elevation: 20, zoom: 1 };
  const kinds = Object.keys(data.clouds); // of clouds that an object may have, in the order of the buttons
  const state = { index: 0, show: kinds[0], paint: "plain", ...still };
  const unit = 1 / 16384; // of the 16-bit coordinates
  const ramp = [[38, 62, 140], [44, 138, 150], [118, 196, 104], [246, 218, 76], [232, 96, 54]];
  let clouds = null, pending = false;

  function decode(text) {
    const bytes = atob(text), out = new Uint8Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) out[i] = bytes.charCodeAt(i);
    return out;
  }

  // Layout (pack.py): per cloud int16 xyz, uint8 of each channel, then rgb and labels where they are there.
  function cloudOf(entry) {
    const raw = decode(entry.bytes), n = entry.count, cloud = { count: n };
    const view = new DataView(raw.buffer);
    cloud.xyz = new Float32Array(3 * n);
    for (let i = 0; i < 3 * n; i++) cloud.xyz[i] = view.getInt16(2 * i, true) * unit;
    let at = 6 * n;
    cloud.channels = {};
    for (const name of entry.channels) cloud.channels[name] = raw.subarray(at, at += n);
    if (entry.rgb) cloud.rgb = raw.subarray(at, at += 3 * n);
    if (entry.labels) cloud.labels = raw.subarray(at, at += n);
    return cloud;
  }

  function mix(value) { // 0..255 -> a colour of the ramp
    const place = value / 255 * (ramp.length - 1), low = Math.min(Math.floor(place), ramp.length - 2), part = place - low;
    return ramp[low].map((one, k) => one + (ramp[low + 1][k] - one) * part);
  }
  const ramped = Array.from({ length: 256 }, (_, value) => mix(value));

  function colorOf(cloud, kind, i) {
    if (state.paint === "rgb" && cloud.rgb) return [cloud.rgb[3 * i], cloud.rgb[3 * i + 1], cloud.rgb[3 * i + 2]];
    if (state.paint === "part" && cloud.labels) return data.palette[cloud.labels[i] % data.palette.length];
    const values = cloud.channels[state.paint];
    if (!values) return data.clouds[kind].color;
    const scale = data.channels[state.paint];
    if (scale.classes) return scale.classes[values[i] % scale.classes.length].color;
    return ramped[scale.falling ? 255 - values[i] : values[i]];
  }

  function draw() {
    pending = false;
    const side = Math.max(64, Math.round(stage.clientWidth * Math.min(window.devicePixelRatio || 1, 1.5)));
    if (stage.width !== side) { stage.width = side; stage.height = side; }
    const image = context.createImageData(side, side), pixels = image.data;
    const depth = new Float32Array(side * side).fill(1e9);
    for (const kind of shown()) splat(clouds[kind], kind, side, pixels, depth);
    shade(side, pixels, depth);
    context.putImageData(image, 0, 0);
  }

  function shown() { return (state.show === "both" ? kinds : [state.show]).filter(kind => clouds[kind]); }

  function splat(cloud, kind, side, pixels, depth) {
    const a = state.azimuth * Math.PI / 180, e = state.elevation * Math.PI / 180;
    const sa = Math.sin(a), ca = Math.cos(a), se = Math.sin(e), ce = Math.cos(e);
    const focal = 1.875 * side * state.zoom;
    const size = Math.sqrt(2000 / Math.max(cloud.count, 200)) * 0.022;
    for (let i = 0; i < cloud.count; i++) {
      const x = cloud.xyz[3 * i], y = cloud.xyz[3 * i + 1], z = cloud.xyz[3 * i + 2];
      const d = 2 - (sa * ce * x - ca * ce * y + se * z); // planar depth: the camera is at distance 2
      if (d < 0.05) continue;
      const u = side / 2 + focal * (ca * x + sa * y) / d;
      const v = side / 2 - focal * (-sa * se * x + ca * se * y + ce * z) / d;
      disc(u, v, d, Math.max(1, focal * size / d / 2), side, colorOf(cloud, kind, i), pixels, depth);
    }
  }

  function disc(u, v, d, radius, side, color, pixels, depth) {
    const v0 = Math.max(0, Math.ceil(v - radius)), v1 = Math.min(side - 1, Math.floor(v + radius));
    for (let row = v0; row <= v1; row++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (row - v) * (row - v)));
      const u0 = Math.max(0, Math.ceil(u - half)), u1 = Math.min(side - 1, Math.floor(u + half));
      for (let column = u0; column <= u1; column++) {
        const at = row * side + column;
        if (depth[at] <= d) continue;
        depth[at] = d;
        pixels[4 * at] = color[0]; pixels[4 * at + 1] = color[1]; pixels[4 * at + 2] = color[2];
        pixels[4 * at + 3] = 255;
      }
    }
  }

  function shade(side, pixels, depth) { // darker where neighbours are nearer, and with distance
    const reach = Math.max(1, Math.round(side / 220));
    const shifts = [-reach, reach, -reach * side, reach * side];
    for (let at = 0; at < depth.length; at++) {
      if (depth[at] > 1e8) continue;
      let step = 0;
      for (const shift of shifts) {
        const other = depth[at + shift];
        if (other < 1e8) step += Math.min(0.12, Math.max(0, depth[at] - other));
      }
      const light = Math.exp(-4.5 * step) * (1.12 - 0.3 * Math.min(1, Math.max(0, depth[at] - 1.5)));
      for (let k = 0; k < 3; k++) pixels[4 * at + k] = Math.min(255, pixels[4 * at + k] * light);
    }
  }

  function refresh() { if (!pending && clouds) { pending = true; requestAnimationFrame(draw); } }

  function legend() {
    const box = document.getElementById("legend");
    box.textContent = "";
    const key = (color, text) => {
      const mark = document.createElement("i");
      mark.className = "key"; mark.style.background = "rgb(" + color.join(",") + ")";
      box.append(mark, text);
    };
    const scale = data.channels[state.paint];
    if (scale && scale.classes) {
      for (const one of scale.classes) key(one.color, one.name);
    } else if (scale) {
      const bar = document.createElement("i"), stops = scale.falling ? [...ramp].reverse() : ramp;
      bar.className = "ramp";
      bar.style.background = "linear-gradient(90deg," + stops.map(c => "rgb(" + c.join(",") + ")").join(",") + ")";
      box.append(scale.low, bar, scale.high);
    } else if (state.paint === "part") {
      data.objects[state.index].parts.forEach((name, place) => key(data.palette[(place + 1) % data.palette.length], name));
    } else if (state.paint === "plain") {
      for (const kind of shown()) key(data.clouds[kind].color, data.clouds[kind].name);
    }
  }

  function buttons() {
    for (const group of ["show", "paint"]) {
      for (const button of document.querySelectorAll("#" + group + " button")) {
        const value = button.dataset.value;
        button.setAttribute("aria-pressed", String(state[group] === value));
        button.disabled = !(group === "show" ? canShow(value) : canPaint(value));
      }
    }
    document.getElementById("previous").disabled = state.index === 0;
    document.getElementById("next").disabled = state.index === data.objects.length - 1;
    legend();
  }

  function canShow(value) { return value === "both" ? kinds.every(kind => clouds[kind]) : Boolean(clouds[value]); }

  function canPaint(value) {
    const here = Object.values(clouds);
    if (value === "rgb") return here.some(cloud => cloud.rgb);
    if (value === "part") return here.some(cloud => cloud.labels);
    return value === "plain" || here.some(cloud => cloud.channels[value]);
  }

  function choose(index) {
    state.index = Math.min(Math.max(index, 0), data.objects.length - 1);
    const entry = data.objects[state.index];
    clouds = {};
    for (const kind of kinds) if (entry[kind]) clouds[kind] = cloudOf(entry[kind]);
    if (!canShow(state.show)) state.show = Object.keys(clouds).pop() || kinds[0];
    if (!canPaint(state.paint)) state.paint = canPaint("rgb") ? "rgb" : "plain";
    document.getElementById("name").textContent = entry.name;
    document.querySelectorAll(".object").forEach((one, place) => one.classList.toggle("chosen", place === state.index));
    buttons();
    draw(); // at once: a page that is printed or in the background may never get a frame
  }

  function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

  function turn(azimuth, elevation) {
    state.azimuth -= azimuth;
    state.elevation = clamp(state.elevation + elevation, -89, 89);
    refresh();
  }

  function zoom(factor) { state.zoom = clamp(state.zoom * factor, 0.4, 8); refresh(); }

  let last = null;
  stage.addEventListener("pointerdown", event => { last = [event.clientX, event.clientY]; stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", event => {
    if (!last) return;
    turn((event.clientX - last[0]) * 0.5, (event.clientY - last[1]) * 0.5);
    last = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { last = null; });
  stage.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0012)); }, { passive: false });
  stage.addEventListener("dblclick", () => { Object.assign(state, still); refresh(); });
  stage.addEventListener("keydown", event => {
    const moves = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
    if (moves[event.key]) { event.preventDefault(); turn(...moves[event.key]); }
    if (event.key === "+" || event.key === "=") zoom(1.15);
    if (event.key === "-") zoom(1 / 1.15);
  });
  window.addEventListener("resize", refresh);
  for (const group of ["show", "paint"]) {
    document.getElementById(group).addEventListener("click", event => {
      if (!event.target.dataset.value) return;
      state[group] = event.target.dataset.value;
      buttons();
      refresh();
    });
  }
  document.getElementById("previous").addEventListener("click", () => choose(state.index - 1));
  document.getElementById("next").addEventListener("click", () => choose(state.index + 1));
  document.querySelectorAll(".object").forEach((one, place) => one.addEventListener("click", () => choose(place)));

  if (data.objects.length) {
    state.paint = "rgb"; // plain, where there is none
    // "#3,both,error" opens the fourth object with these settings.
    const wanted = location.hash.slice(1).split(",");
    if ([...kinds, "both"].includes(wanted[1])) state.show = wanted[1];
    if (["plain", "rgb", "part", ...Object.keys(data.channels)].includes(wanted[2])) state.paint = wanted[2];
    choose(Number(wanted[0]) || 0);
  }
})();
