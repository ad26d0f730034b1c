// The page of `climax view`: controls, address and pictures follow one state. Runs as it stands in any browser of the
// last years; asks nothing of any other machine.

/** @param {string} id */
const byId = (id) => document.getElementById(id);

const controls = {
  variable: byId("variable"),
  level: byId("level"),
  member: byId("member"),
  initial: byId("initial"),
  date: byId("date"),
  lead: byId("lead"),
  play: byId("play"),
  speed: byId("speed"),
  loop: byId("loop"),
  projection: byId("projection"),
  region: byId("region"),
  lat: byId("lat"),
  lon: byId("lon"),
};

/** What the server told of the forecast. */
let catalogue;

/** What is looked at: the address holds the same. */
const state = {
  variable: "",
  /** Counted from 0. */
  initial: 0,
  /** Hours. */
  lead: 0,
  member: "0",
  projection: "robinson",
  region: "",
  /** Of the marked cell; undefined: none is. */
  lat: undefined,
  lon: undefined,
};

/** Leads that there are from this initial time, hours. */
let leads = [];

let playing = false;
/** Counts what was asked for: an answer to an older question is dropped. */
let asked = 0;
let valueAsked = 0;

/** Words as a new child each. */
function fill(parent, tag, words) {
  parent.replaceChildren(
    ...words.map((word) => {
      const child = document.createElement(tag);
      child.textContent = word;
      return child;
    }),
  );
}

/** @param {HTMLSelectElement} select  @param {{ value: string, title: string }[]} options */
function offer(select, options, chosen) {
  select.replaceChildren(
    ...options.map(({ value, title }) => new Option(title, value, false, value === chosen)),
  );
  const alone = options.length < 2;
  select.disabled = alone;
  select.closest("label").hidden = alone && select !== controls.variable && select !== controls.projection;
}

/** "2018-01-31 06:00" of what the server writes. */
const timeText = (time) => time.replace("T", " ").replace(/:00$/, "");

const leadText = (hours) =>
  hours >= 48 && hours % 24 === 0 ? `${hours} h (${hours / 24} days)` : `${hours} h`;

// ---- the address

const addressKeys = ["variable", "initial", "lead", "member", "projection", "region", "lat", "lon"];

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const has = (list, value) => value !== null && list.includes(value);
  const { variables, members, projections, regions } = catalogue;
  if (
    has(
      variables.map(({ name }) => name),
      given.get("variable"),
    )
  )
    state.variable = given.get("variable");
  if (given.has("initial")) state.initial = nearestTime(given.get("initial")) ?? state.initial;
  if (given.has("lead") && catalogue.leads.includes(Number(given.get("lead")))) {
    state.lead = Number(given.get("lead"));
  }
  const member = given.get("member");
  if (
    member !== null &&
    members > 1 &&
    (member === "mean" || (/^\d+$/.test(member) && Number(member) < members))
  ) {
    state.member = member;
  }
  if (
    has(
      projections.map(({ name }) => name),
      given.get("projection"),
    )
  )
    state.projection = given.get("projection");
  if (has(["", ...regions.map(({ name }) => name)], given.get("region"))) state.region = given.get("region");
  const [lat, lon] = [Number.parseFloat(given.get("lat")), Number.parseFloat(given.get("lon"))];
  if (Math.abs(lat) <= 90 && Math.abs(lon) <= 360) [state.lat, state.lon] = [lat, lon];
  else [state.lat, state.lon] = [undefined, undefined];
}

function writeAddress() {
  const shown = {
    ...state,
    initial: catalogue.initial[state.initial],
    member: catalogue.members > 1 ? state.member : undefined,
    region: state.region || undefined,
  };
  const pairs = addressKeys.filter((key) => shown[key] !== undefined).map((key) => [key, String(shown[key])]);
  // Colons are legal in a fragment, and a date is read more easily with them.
  history.replaceState(null, "", `#${new URLSearchParams(pairs).toString().replaceAll("%3A", ":")}`);
}

/** Index of the initial time nearest to a date as people write it; undefined for what is none. */
function nearestTime(text) {
  // Years of models may be of any calendar: the digits are compared, not moments.
  const number = (time) => {
    const [, year, month = "01", day = "01", hour = "00", minute = "00"] =
      /^\s*(-?\d{1,6})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?)(?::(\d\d)(?::[\d.]+)?)?Z?)?)?)?\s*$/.exec(time) ??
      [];
    if (year === undefined) return undefined;
    return (
      (((Number(year) * 12 + Number(month)) * 31 + Number(day)) * 24 + Number(hour)) * 60 + Number(minute)
    );
  };
  const wanted = number(text);
  if (wanted === undefined) return undefined;
  let best = 0;
  let least = Infinity;
  for (const [i, time] of catalogue.initial.entries()) {
    const distance = Math.abs(number(time) - wanted);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

// ---- the controls

function makeControls() {
  const { variables, initial, members, projections, regions } = catalogue;
  const groups = [...new Set(variables.map(({ group }) => group))];
  offer(
    controls.variable,
    groups.map((group) => ({ value: group, title: group })),
  );
  const each = Array.from({ length: members }, (_, i) => ({ value: String(i), title: String(i + 1) }));
  offer(controls.member, members > 1 ? [{ value: "mean", title: `mean of ${members}` }, ...each] : each);
  offer(
    controls.projection,
    projections.map(({ name, title }) => ({ value: name, title })),
  );
  offer(controls.region, [
    { value: "", title: "all of the grid" },
    ...regions.map(({ name, title }) => ({ value: name, title })),
  ]);
  controls.initial.max = String(initial.length - 1);
  byId("initial-slider").hidden = initial.length < 2;
  byId("date-label").hidden = initial.length < 3;
  controls.date.placeholder = timeText(initial[0]);
  byId("lead-slider").hidden = catalogue.leads.length < 2;
  byId("player").hidden = catalogue.leads.length < 2 && initial.length < 2;
  byId("time").hidden = byId("player").hidden;
}

/** Puts the state into the controls. */
function showControls() {
  const { variables, initial } = catalogue;
  const { group, level } = variables.find(({ name }) => name === state.variable);
  controls.variable.value = group;
  const levels = variables.filter((other) => other.group === group && other.level !== null);
  offer(
    controls.level,
    levels.map((other) => ({ value: other.name, title: `${other.level} hPa` })),
    level === null ? undefined : state.variable,
  );
  controls.member.value = state.member;
  controls.projection.value = state.projection;
  controls.region.value = state.region;
  controls.initial.value = String(state.initial);
  controls.lead.max = String(leads.length - 1);
  controls.lead.disabled = leads.length < 2;
  controls.lead.value = String(leads.indexOf(state.lead));
  const time = timeText(initial[state.initial]);
  const lead = leadText(state.lead);
  controls.initial.setAttribute("aria-valuetext", time);
  controls.lead.setAttribute("aria-valuetext", lead);
  byId("initial-text").textContent = time;
  byId("lead-text").textContent = lead;
  if (state.lat !== undefined && !byId("place").contains(document.activeElement)) {
    controls.lat.value = String(state.lat);
    controls.lon.value = String(state.lon);
  }
}

/** Takes a change of the state: controls, address, maps and numbers follow. */
function change(part) {
  Object.assign(state, part);
  showControls();
  writeAddress();
  return show();
}

function listen() {
  controls.variable.addEventListener("change", () => {
    const { level } = catalogue.variables.find(({ name }) => name === state.variable);
    const those = catalogue.variables.filter(({ group }) => group === controls.variable.value);
    // The level stays where the other variable has it.
    const chosen = those.find((other) => other.level === level) ?? those[0];
    change({ variable: chosen.name });
  });
  controls.level.addEventListener("change", () => change({ variable: controls.level.value }));
  for (const key of ["member", "projection"]) {
    controls[key].addEventListener("change", () => change({ [key]: controls[key].value }));
  }
  controls.region.addEventListener("change", () => {
    const region = controls.region.value;
    change({ region, projection: projectionOf(region) });
  });
  controls.initial.addEventListener("input", () => {
    pause();
    change({ initial: Number(controls.initial.value) });
  });
  controls.lead.addEventListener("input", () => {
    pause();
    change({ lead: leads[Number(controls.lead.value)] });
  });
  controls.date.addEventListener("change", () => {
    const index = nearestTime(controls.date.value);
    controls.date.setCustomValidity(
      index === undefined ? "Write a date as 2018-01-31 or 2018-01-31 06:00" : "",
    );
    controls.date.reportValidity();
    if (index !== undefined) change({ initial: index });
  });
  controls.play.addEventListener("click", () => (playing ? pause() : play()));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("place").addEventListener("submit", (event) => {
    event.preventDefault();
    const [lat, lon] = [controls.lat.valueAsNumber, controls.lon.valueAsNumber];
    if (Number.isFinite(lat) && Number.isFinite(lon)) markPlace(lat, lon);
  });
  addEventListener("hashchange", () => {
    readAddress();
    change({});
  });
}

/** A region would be a speck on a map of the globe: it gets a map of its own, and all of the grid its usual one. */
function projectionOf(region) {
  if (region === "") return state.projection === "regional" ? catalogue.projection : state.projection;
  return ["robinson", "plate-carree"].includes(state.projection) ? "regional" : state.projection;
}

// ---- pictures and numbers

function query(more) {
  return new URLSearchParams({
    variable: state.variable,
    initial: String(state.initial),
    lead: String(state.lead),
    member: state.member,
    region: state.region,
    ...more,
  });
}

/** An answer of the server; what it refuses is thrown with its own words. */
async function ask(path) {
  const response = await fetch(path).catch(() => {
    throw new Error("the server does not answer: is climax view still running?");
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.error}. ${answer.hint}.`);
  return answer;
}

/** What a picture is to measure: as wide as its place, in coarse steps, so that it is found again; sharp on any screen. */
const pictureSize = (holder) => ({
  width: String(Math.min(1600, Math.max(200, Math.ceil(holder.clientWidth / 40) * 40))),
  density: devicePixelRatio > 1.2 ? "2" : "1",
});

/** Shows what the state says; resolves to whether it could, once it is to be seen. */
async function show() {
  const number = ++asked;
  const maps = byId("maps");
  const slow = setTimeout(() => {
    maps.setAttribute("aria-busy", "true");
    byId("reading").hidden = false;
  }, 300);
  try {
    const frame = await ask(`frame.json?${query()}`);
    if (number !== asked) return false;
    // Not every initial time has every lead: the nearest is shown then.
    [state.lead, leads] = [frame.lead, frame.leads];
    showControls();
    writeAddress();
    const holders = makeHolders(frame.panels);
    const pictures = await Promise.all(
      frame.panels.map(async ({ side, alt }) => {
        const picture = new Image();
        picture.alt = alt;
        picture.src = `picture.png?${query({
          side,
          projection: state.projection,
          ...pictureSize(holders.get(side)),
        })}`;
        await picture.decode().catch(() => ask(picture.getAttribute("src"))); // which says what is wrong
        return [side, picture];
      }),
    );
    if (number !== asked) return false;
    for (const [side, picture] of pictures) holders.get(side).querySelector("img").replaceWith(picture);
    showNumbers(frame);
    byId("problem").hidden = true;
    announce(frame.spoken);
    await showValue();
    return true;
  } catch (error) {
    if (number !== asked) return false;
    pause();
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    byId("title").textContent = "This field cannot be shown";
    byId("when").textContent = "";
    maps.replaceChildren();
    byId("numbers").replaceChildren();
    byId("scores").textContent = "";
    byId("missing").hidden = true;
    return false;
  } finally {
    clearTimeout(slow);
    if (number === asked) {
      maps.removeAttribute("aria-busy");
      byId("reading").hidden = true;
    }
  }
}

/** The map of each panel, made anew only when other panels are shown: focus and marks stay. */
function makeHolders(panels) {
  const maps = byId("maps");
  maps.dataset.projection = state.projection;
  const sides = panels.map(({ side }) => side).join(" ");
  if (maps.dataset.sides !== sides || maps.childElementCount === 0) {
    maps.dataset.sides = sides;
    maps.dataset.count = String(panels.length);
    maps.replaceChildren(...panels.map(makeFigure));
  }
  return new Map(panels.map(({ side }) => [side, maps.querySelector(`[data-side="${side}"]`)]));
}

function makeFigure({ side, title }) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  const holder = document.createElement("div");
  holder.className = "map";
  holder.dataset.side = side;
  const image = new Image();
  image.alt = "";
  // The picture is for reading, the hand before it for pointing: arrow keys reach it in a screen reader too.
  const hand = document.createElement("div");
  hand.className = "hand";
  hand.tabIndex = 0;
  hand.setAttribute("role", "application");
  hand.setAttribute("aria-roledescription", "map");
  hand.setAttribute("aria-label", `${title}: arrow keys move the cross by a cell, with Shift by five`);
  hand.setAttribute("aria-describedby", "value");
  hand.addEventListener("keydown", moveMark);
  hand.addEventListener("pointermove", (event) => pointAt(event, side, false));
  hand.addEventListener("click", (event) => pointAt(event, side, true));
  hand.addEventListener("pointerleave", () => showValue());
  const mark = document.createElement("div");
  mark.className = "mark";
  mark.hidden = true;
  holder.append(image, hand, mark);
  figure.append(caption, holder);
  return figure;
}

function showNumbers({ title, when, units, panels, scores, lacking }) {
  byId("title").textContent = title;
  byId("when").textContent = when;
  document.title = `${title}, ${state.lead} h: ${catalogue.system}, climax view`;
  const { definition } = catalogue;
  byId("caption").textContent =
    `${units ? `In ${units}; means` : "Means"} and scores by the ${definition.name} definition (weights: ${definition.weights})`;
  byId("numbers").replaceChildren(
    ...panels.map((panel) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = panel.title + (panel.missing > 0 ? ` (${panel.missing} cells missing)` : "");
      const cells = [panel.mean, panel.least, panel.most].map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      });
      row.append(head, ...cells);
      return row;
    }),
  );
  byId("scores").textContent = scores
    ? `RMSE ${scores.rmse}, bias ${scores.bias}${scores.cells < scores.of ? `, over the ${scores.cells} of ${scores.of} cells that both have` : ""}.`
    : "";
  byId("missing").hidden = lacking === null;
  byId("missing").textContent = lacking === null ? "" : `The forecast alone: ${lacking}.`;
}

let speaking;

/** Says a text to who listens: not each frame of an animation, nor each step of a slider that is dragged. */
function announce(text) {
  clearTimeout(speaking);
  if (playing) return;
  speaking = setTimeout(() => {
    byId("live").textContent = text;
  }, 500);
}

// ---- values

/** Shows the value of the marked cell, and the cross on each map. */
async function showValue(aloud = false) {
  if (state.lat === undefined || !document.querySelector(".map")) return;
  const number = ++valueAsked;
  try {
    const answer = await ask(
      `value.json?${query({
        projection: state.projection,
        ...pictureSize(document.querySelector(".map")),
        lat: String(state.lat),
        lon: String(state.lon),
      })}`,
    );
    if (number !== valueAsked) return;
    byId("value").textContent = answer.spoken;
    for (const mark of document.querySelectorAll(".mark")) {
      const place = answer.marks[mark.parentElement.dataset.side];
      mark.hidden = place === undefined;
      if (place === undefined) continue;
      mark.style.left = `${100 * place.x}%`;
      mark.style.top = `${100 * place.y}%`;
    }
    if (aloud) announce(answer.spoken);
  } catch (error) {
    if (number === valueAsked) byId("value").textContent = error.message;
  }
}

function markPlace(lat, lon) {
  [state.lat, state.lon] = [lat, lon];
  showControls();
  writeAddress();
  return showValue(true);
}

let pointing = false;

/** The value under the pointer; a click marks its cell. One question at a time. */
async function pointAt(event, side, marks) {
  if (pointing && !marks) return;
  pointing = true;
  const box = event.currentTarget.getBoundingClientRect();
  const number = ++valueAsked;
  try {
    const answer = await ask(
      `value.json?${query({
        side,
        projection: state.projection,
        ...pictureSize(event.currentTarget),
        x: ((event.clientX - box.left) / box.width).toFixed(5),
        y: ((event.clientY - box.top) / box.height).toFixed(5),
      })}`,
    );
    if (answer === null) return;
    if (marks) await markPlace(answer.lat, answer.lon);
    else if (number === valueAsked) byId("value").textContent = answer.spoken;
  } catch (error) {
    byId("value").textContent = error.message;
  } finally {
    pointing = false;
  }
}

/** Arrow keys step from cell to cell: round the globe in longitude, to the ends in latitude. */
function moveMark(event) {
  const steps = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
  if (!steps || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const { lat, lon } = catalogue;
  const far = event.shiftKey ? 5 : 1;
  if (state.lat === undefined) {
    markPlace(lat[lat.length >> 1], lon[0]);
    return;
  }
  const row = nearestIndex(lat, state.lat, (a, b) => Math.abs(a - b));
  const column = nearestIndex(lon, state.lon, (a, b) => Math.abs(((((a - b) % 360) + 540) % 360) - 180));
  const nextRow = Math.min(lat.length - 1, Math.max(0, row + far * steps[0]));
  markPlace(lat[nextRow], lon[(column + far * steps[1] + lon.length) % lon.length]);
}

function nearestIndex(axis, value, distance) {
  let best = 0;
  for (const [i, x] of axis.entries()) if (distance(x, value) < distance(axis[best], value)) best = i;
  return best;
}

// ---- playing

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Steps through the leads, or through the initial times where there is one lead; never begins by itself. */
async function play() {
  playing = true;
  controls.play.textContent = "Pause";
  const alongLeads = leads.length > 1;
  const count = alongLeads ? leads.length : catalogue.initial.length;
  const at = () => (alongLeads ? leads.indexOf(state.lead) : state.initial);
  const go = (index) => change(alongLeads ? { lead: leads[index] } : { initial: index });
  if (at() === count - 1) await go(0);
  while (playing) {
    await wait(1000 / Number(controls.speed.value));
    if (!playing) return;
    if (at() === count - 1 && !controls.loop.checked) break;
    await go((at() + 1) % count);
  }
  pause();
}

/** Ends the animation and says where it stands. */
function pause() {
  if (!playing) return;
  playing = false;
  controls.play.textContent = "Play";
  const text = [byId("title"), byId("when"), byId("scores")].map(({ textContent }) => textContent);
  announce(text.filter((part) => part !== "").join(". "));
}

// ---- the start

function showCatalogue() {
  const { system, files, truth, synthetic, grid, definition, notes, version } = catalogue;
  byId("system").textContent = system;
  byId("about").textContent = `Forecasts on ${grid}${truth === null ? "" : `, beside the truth ${truth}`}`;
  byId("synthetic").hidden = !synthetic;
  const sources = [
    ["Forecast files", files],
    ["Truth", [truth ?? "none: give --truth to see the error"]],
    ["Grid", [grid]],
    ["Definition of means and scores", [`${definition.name}, weights: ${definition.weights}`]],
    [
      "Colours",
      [
        `the same over all ${catalogue.leads.length > 1 ? "leads of an initial time" : "initial times"}, so that frames can be compared`,
      ],
    ],
    ["Notes", notes.length > 0 ? notes : ["none"]],
    ["Program", [`climax ${version}`]],
  ];
  byId("sources").replaceChildren(
    ...sources.flatMap(([term, texts]) => {
      const holder = document.createDocumentFragment();
      fill(holder, "dd", texts);
      const name = document.createElement("dt");
      name.textContent = term;
      return [name, ...holder.children];
    }),
  );
}

async function start() {
  try {
    catalogue = await ask("catalogue.json");
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    return;
  }
  state.variable = catalogue.variables[0].name;
  state.projection = catalogue.projection;
  leads = catalogue.leads;
  state.lead = leads[0];
  state.member = catalogue.members > 1 ? "mean" : "0";
  showCatalogue();
  makeControls();
  readAddress();
  listen();
  await change({});
  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(show, 300);
  });
}

await start();
