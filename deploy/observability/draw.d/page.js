// Draws the panels of a dashboard where Grafana has them: 24 columns, rows of 30 pixels, gaps of 8.
const dashboard = JSON.parse(document.getElementById("dashboard").textContent);
const settings = JSON.parse(document.getElementById("settings").textContent);
const COLUMN = 1920 / 24;
const [ROW, GAP] = [38, 8];
const LINES = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#fade2a", "#37872d"];
const THRESHOLDS = { green: "#73bf69", orange: "#ff9830", red: "#f2495c", blue: "#5794f2" };
const STEP = 5;
const end = Math.floor(Date.now() / 1000 / STEP) * STEP;
const times = Array.from({ length: 61 }, (_, place) => end - (60 - place) * STEP);

// The lines of a query: name, and a value or null for each of the times.
const linesOf = async ({ expr, legendFormat }) => {
  const query = expr.replaceAll("$__rate_interval", "30s").replaceAll("$instance", settings.instance);
  const url = new URL("/api/v1/query_range", settings.prometheus);
  url.search = new URLSearchParams({ query, start: times[0], end, step: STEP });
  const answer = await (await fetch(url)).json();
  if (answer.status !== "success") throw new Error(`${answer.error} in ${query}`);
  return answer.data.result.map(({ metric, values }) => {
    const known = new Map(values.map(([time, value]) => [Math.round(time), Number(value)]));
    const at = (time) => (Number.isFinite(known.get(time)) ? known.get(time) : null);
    return { name: legendFormat.replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? ""), values: times.map(at) };
  });
};

const element = (parent, tag, className, text) => {
  const made = parent.appendChild(document.createElement(tag));
  made.className = className ?? "";
  made.textContent = text ?? "";
  return made;
};

const drawStat = (box, panel, [line]) => {
  const { unit, thresholds, color } = panel.fieldConfig.defaults;
  const value = line?.values.findLast((value) => value !== null);
  const shown = element(box, "div", "value", value === undefined ? "no data" : formatOf(unit)(value));
  const passed = thresholds?.steps.findLast((step) => step.value === null || value >= step.value);
  shown.style.color = THRESHOLDS[passed?.color ?? color?.fixedColor];
};

const stacked = (lines) => {
  const sums = times.map(() => 0);
  return lines.map((line) => ({ ...line, values: line.values.map((value, at) => (sums[at] += value ?? 0)) }));
};

const drawLines = (box, panel, lines, height) => {
  const { unit, custom, max } = panel.fieldConfig.defaults;
  const format = formatOf(unit);
  const isStacked = custom.stacking !== undefined;
  const colored = lines.map((line, place) => ({ ...line, color: LINES[place % LINES.length] }));
  // The first of a stack is drawn last, over the others.
  const drawn = isStacked ? stacked(colored).reverse() : colored;
  const axis = { stroke: "#8e8e9e", font: "10px system-ui", grid: { stroke: "#26282e" }, ticks: { show: false } };
  const greatest = (u, least, most) => [0, max ?? (uPlot.rangeNum(0, Math.max(most ?? 0, 1e-6), 0.1, true)[1])];
  new uPlot(
    {
      width: box.clientWidth - 16,
      height: height - 68,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: greatest } },
      axes: [{ ...axis, size: 20 }, { ...axis, size: 56, values: (u, splits) => splits.map(format) }],
      series: [
        {},
        ...drawn.map(({ color }) => ({
          stroke: color,
          fill: isStacked ? color : undefined,
          width: 1.5,
          points: { show: false },
        })),
      ],
    },
    [times, ...drawn.map(({ values }) => values)],
    element(box, "div"),
  );
  const legend = element(box, "div", "legend");
  for (const { name, color } of colored) {
    const entry = element(legend, "span");
    element(entry, "i").style.background = color;
    entry.append(name);
  }
  if (lines.length === 0) element(box, "div", "error", "no data");
};

const draw = async (panel) => {
  const { x, y, w, h } = panel.gridPos;
  const box = element(document.querySelector("main"), "section");
  const height = h * ROW - GAP;
  Object.assign(box.style, {
    left: `${x * COLUMN + GAP / 2}px`,
    top: `${y * ROW + GAP / 2}px`,
    width: `${w * COLUMN - GAP}px`,
    height: `${height}px`,
  });
  element(box, "h2", "", panel.title);
  try {
    const lines = (await Promise.all(panel.targets.map(linesOf))).flat();
    if (panel.type === "stat") drawStat(box, panel, lines);
    else drawLines(box, panel, lines, height);
  } catch (error) {
    element(box, "div", "error", String(error));
  }
};

Promise.all(dashboard.panels.map(draw)).then(() => {
  document.title = "drawn";
});
