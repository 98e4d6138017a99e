"use strict";
// Draws the shop and keeps the drawing as the shop is. The floor is read once; the events say which label is in which
// state; everything else about a label is read when somebody looks at it.
(() => {
  const ZOOM_MAX = 40; // pixels per centimetre, where a label of a full shelf, 4 cm apart, can be read
  const BAR_CM = [60, 42]; // a label's place on its shelf, seen from above, where there is room for it
  const PICTURE_PX = 44; // a narrower picture shows nothing
  const PICTURES_MAX = 300; // kept at once; those that were seen last
  const LOADS_MAX = 3; // at once: the control API has sixteen places
  const DETAIL_MS = 1000; // how often the chosen label is read
  const RECONNECT_MS = 2000;

  // In the order of their numbers in the events.
  const STATES = [
    { name: "empty", colour: "--empty", text: "empty" },
    { name: "newest", colour: "--right", text: "showing the newest" },
    { name: "behind", colour: "--wrong", text: "behind, picture waits" },
    { name: "receiving", colour: "--moving", text: "receiving" },
    { name: "refreshing", colour: "--inking", text: "display changes" },
    { name: "faulty", colour: "--fault", text: "faulty glass" },
    { name: "away", colour: "--away", text: "not heard" },
  ];
  const LOW = 8; // added to a state's number with a low battery

  const $ = (id) => document.getElementById(id);
  const map = $("map");
  const pen = map.getContext("2d");
  const view = { scale: 1, left: 0, top: 0 }; // pixels per centimetre; what lies in the canvas's corner, in centimetres
  let floor = null;
  let labels = []; // { id, x, y, w, h, up } in centimetres from the upper left corner
  let states = new Uint8Array(0);
  let stations = [];
  let chosen = -1;
  let whole = 1; // the scale that shows the whole floor
  let colours = {};
  let planned = false;

  const number = (value) => value.toLocaleString("en");
  const some = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
  const state = (at) => STATES[states[at] % LOW];
  const isLow = (at) => states[at] >= LOW;

  // ---- what the shop says

  const ask = async (path, method, body) => {
    const answer = await fetch(path, {
      method, cache: "no-store", body: body && JSON.stringify(body), signal: AbortSignal.timeout(10000),
    });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({ title: path, detail: `the shop answered ${answer.status}` }));
    throw new Error(`${problem.title}: ${problem.detail}`);
  };

  const change = async (path, method, body) => {
    try {
      await ask(path, method, body);
      $("problem").hidden = true;
    } catch (error) {
      $("problem").textContent = error.message;
      $("problem").hidden = false;
    }
    if (chosen >= 0) readChosen();
  };

  // Puts every label onto the inner side of its shelf's edge, as wide as its neighbours leave room for.
  const place = (read) => {
    floor = read;
    const shelves = floor.shelves.map((shelf) => ({
      left: shelf.corner.x_cm, right: shelf.corner.x_cm + shelf.width_cm,
      low: shelf.corner.y_cm, high: shelf.corner.y_cm + shelf.depth_cm, sides: new Map(),
    }));
    let shelf = shelves[0];
    const inside = (one, at) => at.x_cm >= one.left && at.x_cm <= one.right && at.y_cm >= one.low && at.y_cm <= one.high;
    const sides = new Map();
    labels = read.labels.map((at) => {
      if (!shelf || !inside(shelf, at)) shelf = shelves.find((one) => inside(one, at));
      const label = { id: at.id, x: at.x_cm, y: at.y_cm, up: !shelf || at.y_cm < shelf.high };
      const side = `${shelf?.left}/${at.y_cm}`;
      if (!sides.has(side)) sides.set(side, []);
      sides.get(side).push(label);
      return label;
    });
    for (const side of sides.values()) {
      const room = side.length > 1 ? Math.abs(side[1].x - side[0].x) : BAR_CM[0];
      for (const label of side) {
        label.w = Math.min(BAR_CM[0], room * (room > 10 ? 0.85 : 1));
        label.h = BAR_CM[1];
        label.left = label.x - label.w / 2;
        label.top = floor.depth_cm - label.y - (label.up ? label.h : 0);
      }
    }
    stations = read.base_stations.map((at) => ({ id: at.id, x: at.x_cm, y: floor.depth_cm - at.y_cm }));
    states = new Uint8Array(labels.length);
    $("size").textContent = `${some(labels.length, "label")}, ${some(stations.length, "base station")}`;
  };

  const hear = (news) => {
    if (typeof news.labels === "string") {
      for (let at = 0; at < labels.length; at += 1) states[at] = parseInt(news.labels[at], 16);
      for (const picture of pictures.values()) picture.stale = true;
    } else {
      for (const [at, digit] of news.labels) {
        states[at] = parseInt(digit, 16);
        const picture = pictures.get(labels[at].id);
        if (picture) picture.stale = true;
        if (at === chosen) readChosen();
      }
    }
    news.base_stations.forEach((row, at) => Object.assign(stations[at], row));
    if (document.activeElement !== $("loss")) $("loss").value = Math.round(news.loss * 100);
    $("share").textContent = `${Math.round(news.loss * 100)} %`;
    count();
    listStations();
    draw();
  };

  const follow = () => {
    const events = new EventSource("/events");
    const told = (event) => {
      $("live").textContent = "live";
      $("live").dataset.state = "live";
      hear(JSON.parse(event.data));
    };
    events.addEventListener("resync", told);
    events.addEventListener("change", told);
    events.onerror = () => {
      $("live").textContent = "connection lost";
      $("live").dataset.state = "lost";
      events.close();
      // The shop may be another one when it is back.
      setTimeout(open, RECONNECT_MS);
    };
  };

  const open = async () => {
    try {
      const read = await (await ask("/floor")).json();
      const same = floor && read.labels.length === labels.length && read.labels[0]?.id === labels[0]?.id;
      place(read);
      if (!same) fit();
      buildStations();
      follow();
    } catch {
      $("live").textContent = "connection lost";
      $("live").dataset.state = "lost";
      setTimeout(open, RECONNECT_MS);
    }
  };

  // ---- legend and lists

  const legend = STATES.map(({ name }) => ({ name })).concat({ name: "low" }).map(({ name }) => {
    const item = document.createElement("li");
    item.dataset.state = name;
    const swatch = document.createElement("canvas");
    swatch.width = swatch.height = 28;
    const total = document.createElement("strong");
    const known = STATES.find((one) => one.name === name);
    item.append(swatch, total, known ? known.text : "battery low");
    $("legend").append(item);
    return { known, swatch, total };
  });

  const paintLegend = () => {
    for (const { known, swatch } of legend) {
      const brush = swatch.getContext("2d");
      brush.clearRect(0, 0, 28, 28);
      brush.fillStyle = colours[known ? known.colour : "--shelf"];
      brush.fillRect(0, 4, 28, 20);
      if (!known) {
        brush.fillStyle = colours["--ink"];
        brush.fillRect(0, 16, 28, 8);
      }
    }
  };

  const count = () => {
    const totals = new Array(STATES.length + 1).fill(0);
    for (const one of states) {
      totals[one % LOW] += 1;
      if (one >= LOW) totals[STATES.length] += 1;
    }
    legend.forEach(({ total }, at) => { total.textContent = number(totals[at]); });
  };

  const buildStations = () => {
    $("stations").replaceChildren(...stations.map((station) => {
      const item = document.createElement("li");
      const name = document.createElement("span");
      const text = document.createElement("small");
      name.append(station.id, text);
      const button = (word, act) => {
        const made = document.createElement("button");
        made.textContent = word;
        made.setAttribute("aria-label", `${word} ${station.id}`);
        made.addEventListener("click", act);
        return made;
      };
      const path = `/base-stations/${station.id}`;
      const power = button("Unplug", () => change(`${path}/power`, "PUT", { on: !station.on }));
      item.append(name, power, button("Reboot", () => change(`${path}/reboot`, "POST")));
      Object.assign(station, { text, power });
      return item;
    }));
  };

  const listStations = () => {
    for (const station of stations) {
      const link = station.connected ? `holds ${number(station.holds)}` : "no controller";
      station.text.textContent = station.on ? link : "without power";
      const word = station.on ? "Unplug" : "Plug in";
      if (station.power.textContent !== word) {
        station.power.textContent = word;
        station.power.setAttribute("aria-label", `${word} ${station.id}`);
      }
    }
  };

  // ---- the plan

  const x = (cm) => (cm - view.left) * view.scale;
  const y = (cm) => (cm - view.top) * view.scale;

  const keepInside = () => {
    const spare = (size, px) => {
      const shown = px / view.scale;
      return shown >= size ? [(size - shown) / 2, (size - shown) / 2] : [-shown / 4, size - shown * 3 / 4];
    };
    const within = (value, [low, high]) => Math.min(Math.max(value, low), high);
    view.left = within(view.left, spare(floor.width_cm, map.clientWidth));
    view.top = within(view.top, spare(floor.depth_cm, map.clientHeight));
  };

  const fit = () => {
    whole = Math.min(map.clientWidth / floor.width_cm, map.clientHeight / floor.depth_cm) * 0.98;
    view.scale = whole;
    keepInside();
    draw();
  };

  const zoom = (factor, px = map.clientWidth / 2, py = map.clientHeight / 2) => {
    if (!floor) return;
    const before = view.scale;
    view.scale = Math.min(Math.max(before * factor, whole), Math.max(ZOOM_MAX, whole));
    view.left += px / before - px / view.scale;
    view.top += py / before - py / view.scale;
    keepInside();
    draw();
  };

  const pan = (dx, dy) => {
    if (!floor) return;
    view.left += dx / view.scale;
    view.top += dy / view.scale;
    keepInside();
    draw();
  };

  // Calls for each label in sight; the others cost a comparison.
  const inSight = (act) => {
    const right = view.left + map.clientWidth / view.scale;
    const low = view.top + map.clientHeight / view.scale;
    for (let at = 0; at < labels.length; at += 1) {
      const one = labels[at];
      if (one.left + one.w >= view.left && one.left <= right && one.top + one.h >= view.top && one.top <= low) act(one, at);
    }
  };

  const draw = () => {
    if (planned || !floor) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      paint();
    });
  };

  const paint = () => {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(map.clientWidth * ratio), Math.round(map.clientHeight * ratio)];
    if (map.width !== width || map.height !== height) [map.width, map.height] = [width, height];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, map.clientWidth, map.clientHeight);
    pen.strokeStyle = colours["--line"];
    pen.strokeRect(x(0), y(0), floor.width_cm * view.scale, floor.depth_cm * view.scale);
    pen.fillStyle = colours["--shelf"];
    for (const { corner, width_cm, depth_cm } of floor.shelves) {
      const top = floor.depth_cm - corner.y_cm - depth_cm;
      pen.fillRect(x(corner.x_cm), y(top), width_cm * view.scale, depth_cm * view.scale);
    }
    paintLabels();
    for (const station of stations) paintStation(station);
    if (chosen >= 0) {
      const one = labels[chosen];
      pen.strokeStyle = colours["--ink"];
      pen.lineWidth = 2.5;
      pen.strokeRect(x(one.left) - 3, y(one.top) - 3, Math.max(one.w * view.scale, 2) + 6, one.h * view.scale + 6);
      pen.lineWidth = 1;
    }
  };

  const paintLabels = () => {
    const runs = STATES.map(() => []);
    const low = [];
    const seen = [];
    inSight((one, at) => {
      runs[states[at] % LOW].push(one);
      if (isLow(at)) low.push(one);
      seen.push(one);
    });
    runs.forEach((run, at) => {
      pen.fillStyle = colours[STATES[at].colour];
      for (const one of run) pen.fillRect(x(one.left), y(one.top), Math.max(one.w * view.scale, 0.6), one.h * view.scale);
    });
    pen.fillStyle = colours["--ink"];
    for (const one of low) {
      pen.fillRect(x(one.left), y(one.top + (one.up ? 0 : one.h * 0.7)), Math.max(one.w * view.scale, 0.6), one.h * 0.3 * view.scale);
    }
    for (const one of seen) paintPicture(one);
  };

  const paintPicture = (one) => {
    const width = one.w * view.scale * 0.9;
    if (width < PICTURE_PX) return;
    const image = picture(one.id);
    if (!image) return;
    const height = Math.min(width * image.height / image.width, one.h * view.scale * 0.92);
    const drawn = Math.min(width, height * image.width / image.height);
    const top = one.up ? y(one.top + one.h) - height - 3 : y(one.top) + 3;
    pen.drawImage(image, x(one.left + one.w / 2) - drawn / 2, top, drawn, height);
  };

  const paintStation = (station) => {
    const [px, py] = [x(station.x), y(station.y)];
    pen.beginPath();
    pen.arc(px, py, 8, 0, 2 * Math.PI);
    pen.fillStyle = colours["--sheet"];
    pen.fill();
    pen.lineWidth = 2.5;
    pen.strokeStyle = colours[station.on === false ? "--fault" : station.connected ? "--ink" : "--faint"];
    pen.stroke();
    pen.beginPath();
    if (station.on === false) {
      pen.moveTo(px - 4, py - 4); pen.lineTo(px + 4, py + 4);
      pen.moveTo(px + 4, py - 4); pen.lineTo(px - 4, py + 4);
      pen.stroke();
    } else {
      pen.arc(px, py, 2.5, 0, 2 * Math.PI);
      pen.fillStyle = pen.strokeStyle;
      pen.fill();
    }
    pen.lineWidth = 1;
    if (view.scale * 800 < 90 && stations.length > 6) return;
    pen.font = "600 12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = colours["--sheet"];
    pen.strokeText(station.id, px, py + 22);
    pen.fillStyle = colours["--ink"];
    pen.fillText(station.id, px, py + 22);
    pen.lineWidth = 1;
  };

  // ---- pictures of glasses, newest sight last

  const pictures = new Map(); // address → { image, stale, loading }
  let loads = 0;

  const picture = (id) => {
    const known = pictures.get(id) ?? { image: null, stale: true, loading: false };
    pictures.delete(id);
    pictures.set(id, known);
    for (const [oldest] of pictures) {
      if (pictures.size <= PICTURES_MAX) break;
      pictures.delete(oldest);
    }
    if (known.stale && !known.loading && loads < LOADS_MAX) load(id, known);
    return known.image;
  };

  const load = async (id, known) => {
    loads += 1;
    known.loading = true;
    known.stale = false;
    try {
      const image = await createImageBitmap(await (await ask(`/labels/${id}/screen.png`)).blob());
      known.image?.close();
      known.image = image;
    } catch {
      // The next state of the label asks again.
    }
    known.loading = false;
    loads -= 1;
    draw();
  };

  // ---- the chosen label

  const choose = (at, show = false) => {
    chosen = at;
    $("label").hidden = at < 0;
    $("nothing").hidden = at >= 0;
    if (at >= 0) {
      $("address").textContent = labels[at].id;
      $("facts").replaceChildren();
      $("celsius").value = "";
      if (show) centre(labels[at]);
      readChosen(true);
    }
    draw();
  };

  const centre = (one) => {
    view.left = one.x - map.clientWidth / view.scale / 2;
    view.top = one.top + one.h / 2 - map.clientHeight / view.scale / 2;
    keepInside();
  };

  const ago = (moment) => {
    if (moment === null) return "never";
    const seconds = Math.max(0, Math.round(Date.now() / 1000 - moment / 1e6));
    return seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
  };

  const facts = (at, row) => [
    ["State", state(at).text],
    ["Battery", `${number(row.battery_mv)} mV${isLow(at) ? ", low" : ""}`],
    ["Temperature", `${row.temperature_c} °C`],
    ["Last wake", ago(row.woke_at_us)],
    ["Glass changed", ago(row.displayed_at_us)],
    ["Base station", row.base_station],
    ["Panel", row.panel],
    ["Fault", row.fault ? row.fault.replace("_", " ") : "none"],
  ];

  let shown = ""; // the picture that the panel shows
  const readChosen = async (anew = false) => {
    const at = chosen;
    const id = labels[at]?.id;
    if (!id) return;
    try {
      const row = await (await ask(`/labels/${id}`)).json();
      if (at !== chosen) return;
      const list = facts(at, row).flatMap(([name, value]) => {
        const [term, text] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        text.textContent = value;
        return [term, text];
      });
      $("facts").replaceChildren(...list);
      $("label").dataset.state = state(at).name;
      if (document.activeElement !== $("fault")) $("fault").value = row.fault ?? "none";
      if (anew || (document.activeElement !== $("celsius") && $("celsius").value === "")) $("celsius").value = row.temperature_c;
      const version = `${id}/${row.edition}/${row.digest}/${row.fault}`;
      if (shown !== version) {
        const png = await (await ask(`/labels/${id}/screen.png?scale=2`)).blob();
        if (at !== chosen) return;
        URL.revokeObjectURL($("glass").src);
        $("glass").src = URL.createObjectURL(png);
        shown = version;
        $("glass").dataset.digest = row.digest;
        $("glass").alt = `What is on the glass of label ${id}`;
      }
    } catch {
      // The stream says whether the shop is there.
    }
  };
  setInterval(() => { if (chosen >= 0 && !document.hidden) readChosen(); }, DETAIL_MS);

  const near = (px, py) => {
    let [best, nearest] = [-1, 12];
    inSight((one, at) => {
      const dx = Math.max(x(one.left) - px, 0, px - x(one.left + one.w));
      const dy = Math.max(y(one.top) - py, 0, py - y(one.top + one.h));
      const distance = Math.hypot(dx, dy);
      if (distance < nearest) [best, nearest] = [at, distance];
    });
    return best;
  };

  let hinted = -1;
  const hint = async (event) => {
    const at = floor ? near(event.offsetX, event.offsetY) : -1;
    const box = $("hint");
    box.hidden = at < 0;
    if (at < 0) {
      hinted = -1;
      return;
    }
    const fromRight = event.offsetX > map.clientWidth / 2;
    box.style.left = fromRight ? "auto" : `${event.offsetX + 14}px`;
    box.style.right = fromRight ? `${map.clientWidth - event.offsetX + 14}px` : "auto";
    box.style.top = `${map.offsetTop + event.offsetY + 14}px`;
    if (at === hinted) return;
    hinted = at;
    const { id } = labels[at];
    box.textContent = `${id}\n${state(at).text}`;
    try {
      const row = await (await ask(`/labels/${id}`)).json();
      if (hinted === at) {
        box.textContent = `${id}\n${state(at).text}\n${number(row.battery_mv)} mV${isLow(at) ? ", low" : ""}, woke ${ago(row.woke_at_us)}`;
      }
    } catch {
      // The name and the state stand there.
    }
  };

  // ---- fingers, mouse and keys

  const fingers = new Map();
  let moved = 0;
  const spread = () => {
    const [one, other] = [...fingers.values()];
    return Math.hypot(one.x - other.x, one.y - other.y);
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    if (fingers.size === 0) moved = 0;
    fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    $("hint").hidden = true;
  });
  map.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) {
      if (event.pointerType === "mouse") hint(event);
      return;
    }
    const before = fingers.size === 2 ? spread() : 0;
    const [dx, dy] = [event.offsetX - finger.x, event.offsetY - finger.y];
    [finger.x, finger.y] = [event.offsetX, event.offsetY];
    moved += Math.hypot(dx, dy);
    pan(-dx / fingers.size, -dy / fingers.size);
    if (before > 0) {
      const [one, other] = [...fingers.values()];
      zoom(spread() / before, (one.x + other.x) / 2, (one.y + other.y) / 2);
    }
  });
  const lift = (event) => {
    const isTap = event.type === "pointerup" && fingers.size === 1 && moved < 6;
    fingers.delete(event.pointerId);
    if (isTap && floor) choose(near(event.offsetX, event.offsetY));
  };
  map.addEventListener("pointerup", lift);
  map.addEventListener("pointercancel", lift);
  map.addEventListener("pointerleave", () => { $("hint").hidden = true; hinted = -1; });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }, { passive: false });

  const STEP = 60;
  const KEYS = {
    ArrowLeft: () => pan(-STEP, 0), ArrowRight: () => pan(STEP, 0), ArrowUp: () => pan(0, -STEP), ArrowDown: () => pan(0, STEP),
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => floor && fit(),
    n: () => labels.length && choose((chosen + 1) % labels.length, true),
    p: () => labels.length && choose((Math.max(chosen, 0) + labels.length - 1) % labels.length, true),
    Escape: () => choose(-1),
  };
  map.addEventListener("keydown", (event) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });

  $("closer").addEventListener("click", () => zoom(1.6));
  $("farther").addEventListener("click", () => zoom(1 / 1.6));
  $("whole").addEventListener("click", () => floor && fit());
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = $("wanted").value.replace(/[^0-9a-f]/gi, "").toUpperCase();
    const at = wanted ? labels.findIndex(({ id }) => id.endsWith(wanted)) : -1;
    $("wanted").setCustomValidity(at < 0 ? "No label’s address ends like this." : "");
    if (at < 0) return $("wanted").reportValidity();
    view.scale = Math.max(view.scale, Math.min(ZOOM_MAX, 90 / labels[at].w));
    choose(at, true);
  });
  $("wanted").addEventListener("input", () => $("wanted").setCustomValidity(""));

  // ---- faults

  const toChosen = (path, method, body) => chosen >= 0 && change(`/labels/${labels[chosen].id}/${path}`, method, body);
  $("fault").addEventListener("change", () => {
    const fault = $("fault").value;
    toChosen("fault", "PUT", fault === "dead_pixel" ? { fault, x: 0, y: 0 } : { fault });
  });
  $("reset").addEventListener("click", () => toChosen("fault", "PUT", { fault: "reset" }));
  $("drain").addEventListener("click", () => toChosen("drain", "POST", { percent: 50 }));
  $("celsius").addEventListener("change", () => toChosen("temperature", "PUT", { celsius: Number($("celsius").value) }));
  $("loss").addEventListener("change", () => change("/radio", "PUT", { loss: Number($("loss").value) / 100 }));
  $("loss").addEventListener("input", () => { $("share").textContent = `${$("loss").value} %`; });

  // ---- colours and size

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const names = ["--sheet", "--ink", "--faint", "--line", "--shelf", "--fault", ...STATES.map(({ colour }) => colour)];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
    paintLegend();
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
  new ResizeObserver(() => {
    if (!floor) return;
    if (view.scale === whole) return fit();
    whole = Math.min(map.clientWidth / floor.width_cm, map.clientHeight / floor.depth_cm) * 0.98;
    zoom(1);
  }).observe(map);

  readColours();
  open();
})();
