const data = JSON.parse(document.getElementById("data").textContent);
const PRINTED_WIDTH = 690;

// The time axis of all charts.
const timeAxis = {
  charts: [],
  range: { min: data.range[0], max: data.range[1] },
  follow(u) {
    const { min, max } = u.scales.x;
    if (min == null || (min === this.range.min && max === this.range.max)) return;
    this.show({ min, max });
  },
  show(range) {
    this.range = range;
    for (const chart of this.charts) chart.setScale("x", range);
  },
  reset() {
    this.show({ min: data.range[0], max: data.range[1] });
  },
};

const drawn = [];

const distributions = Map.groupBy(
  data.distributions.map((line) => ({ ...line, shown: true, dash: "solid" })),
  (line) => line.chart,
);

// Draws all charts, again when the theme changes: the colors are those of the theme.
const drawCharts = () => {
  for (const chart of drawn) chart.destroy();
  drawn.length = timeAxis.charts.length = 0;
  for (const chart of data.charts) {
    const u = timeChart(document.getElementById(chart.id), chart, data, timeAxis);
    timeAxis.charts.push(u);
    drawn.push(u);
  }
  for (const [id, lines] of distributions) drawn.push(distributionChart(document.getElementById(id), lines));
};

const resize = (width) => {
  for (const chart of drawn) {
    const available = width ?? chart.root.parentElement.clientWidth;
    if (available > 0 && available !== chart.width) chart.setSize({ width: available, height: chart.height });
  }
};

// The theme is that of the system until the reader chooses.
const THEMES = { light: "dark", dark: "light" };
const systemTheme = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.dataset.theme ?? (systemTheme.matches ? "dark" : "light");
const button = document.getElementById("theme");
const showTheme = () => {
  button.textContent = `${THEMES[theme()]} theme`;
  drawCharts();
};
button.hidden = false;
button.addEventListener("click", () => {
  document.documentElement.dataset.theme = THEMES[theme()];
  showTheme();
});
systemTheme.addEventListener("change", showTheme);

for (const swatch of document.querySelectorAll(".swatch[data-color]")) {
  swatch.style.borderTopColor = `var(--line-${swatch.dataset.color % COLORS})`;
}

showTheme();
addEventListener("resize", () => resize());

// Printed charts have the width of the paper, and the colors of the light theme.
let themeBefore;
addEventListener("beforeprint", () => {
  themeBefore = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  drawCharts();
  resize(PRINTED_WIDTH);
});
addEventListener("afterprint", () => {
  if (themeBefore === undefined) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = themeBefore;
  drawCharts();
});

document.documentElement.dataset.ready = "yes";
