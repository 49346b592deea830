// The charts. All charts over time have one axis: cursor and zoom are those of all of them.
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const LEFT = 62;
const SMALLEST_LATENCY = 0.001;

const axes = (xAxis, yAxis) => {
  const common = () => ({
    stroke: color("muted"),
    font: `11px ${FONT}`,
    grid: { stroke: color("grid"), width: 1 },
    ticks: { show: false },
  });
  return [
    { ...common(), size: 28, gap: 6, ...xAxis },
    { ...common(), size: LEFT, gap: 6, ...yAxis },
  ];
};

// Each line as uPlot draws it. A value between two gaps is a point.
const lineSeries = (lines, columns, isSteps) =>
  lines.map((line, place) => ({
    label: line.name,
    show: line.shown,
    stroke: color(lineColorName(line, place)),
    width: lineWidth(line),
    dash: lineDash(line, place),
    alpha: lineOpacity(line),
    paths: isSteps ? uPlot.paths.stepped({ align: 1 }) : undefined,
    spanGaps: false,
    points: {
      show: true,
      size: 4,
      filter: () => singlePoints(columns[place + 1]),
    },
  }));

const singlePoints = (values) => {
  const known = values.flatMap((value, place) => (value === undefined ? [] : [place]));
  const isGap = (place) => place === undefined || values[place] === null;
  return known.filter((at, place) => values[at] !== null && isGap(known[place - 1]) && isGap(known[place + 1]));
};

// Columns for uPlot. Lines of several runs have different times: where one has none, it is `undefined`, which is no gap.
const columnsOf = (chart, data) => {
  const drawn = (value) => {
    if (value === null) return null;
    if (chart.unit === "mebibytes") return value / 1048576;
    return chart.scale === "logarithmic" ? Math.max(value, SMALLEST_LATENCY) : value;
  };
  const tables = chart.series.map((line) => [data.times[line.times], line.values.map(drawn)]);
  const isShared = chart.series.every((line) => line.times === chart.series[0].times);
  return isShared ? [tables[0][0], ...tables.map(([, values]) => values)] : uPlot.join(tables);
};

// The place of the value of a line that is nearest in time.
const nearest = (u, line, place) => {
  const values = u.data[line];
  for (let distance = 0; distance < 3; distance += 1) {
    for (const at of [place - distance, place + distance]) {
      if (values[at] !== undefined) return at;
    }
  }
  return place;
};

const POWERS = Array.from({ length: 16 }, (_, place) => 10 ** (place - 6));
const powersOfTen = {
  space: 1,
  splits: (u, axis, min, max) => POWERS.filter((power) => power >= min * 0.999 && power <= max * 1.001),
  filter: (u, splits) => splits,
};

const verticalScale = (chart) => {
  if (chart.scale === "logarithmic") return { distr: 3 };
  const least = { share: 0.01, cores: 0.1 }[chart.unit] ?? 1;
  if (chart.unit === "share") return { range: (u, min) => [Math.max(0, 1 - 1.1 * Math.max(1 - (min ?? 1), least)), 1] };
  return { range: (u, min, max) => [0, uPlot.rangeNum(0, Math.max(max ?? 0, least), 0.1, true)[1]] };
};

const timeChart = (figure, chart, data, axis) => {
  const columns = columnsOf(chart, data);
  const plot = figure.querySelector(".plot");
  const isLogarithmic = chart.scale === "logarithmic";
  const write = UNITS[chart.unit];
  const readout = figure.querySelector(".at");
  const setValues = drawLegend(figure.querySelector(".legend"), chart.series, (place, show) =>
    u.setSeries(place + 1, { show }),
  );
  const showValues = () => {
    const { idx, idxs } = u.cursor;
    const known = idx != null && u.cursor.left >= 0;
    readout.textContent = known ? [clock(columns[0][idx]), ...marksAt(data, columns[0][idx])].join(" · ") : "";
    setValues(
      chart.series.map((line, place) => {
        const value = known ? columns[place + 1][idxs?.[place + 1] ?? idx] : null;
        return value == null ? (known ? "–" : "") : write(value);
      }),
    );
  };
  const wholeNumbers = chart.scale === "steps" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] } : {};
  const u = new uPlot(
    {
      width: plot.clientWidth,
      height: Number(figure.dataset.height) || 220,
      padding: [marksHeight(data), 10, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: true, y: false },
        dataIdx: nearest,
        sync: { key: "time", scales: ["x", null], filters: { pub: (type) => type.startsWith("mouse") && type !== "mousedown" && type !== "mouseup" } },
        bind: { dblclick: () => () => axis.reset() },
      },
      scales: { x: { time: false, range: (u, min, max) => [min, max] }, y: verticalScale(chart) },
      axes: axes(
        {
          space: 60,
          incrs: [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400],
          values: (u, splits, axisIndex, space, increment) => splits.map((at) => clock(at, increment < 1 ? 1 : 0)),
        },
        {
          space: 32,
          values: (u, splits) => splits.map(AXIS_UNITS[chart.unit]),
          ...(isLogarithmic ? powersOfTen : wholeNumbers),
        },
      ),
      series: [{}, ...lineSeries(chart.series, columns, chart.scale === "steps")],
      plugins: [marksPlugin(data)],
      hooks: {
        setCursor: [showValues],
        setScale: [(u, key) => key === "x" && axis.follow(u)],
      },
    },
    columns,
    plot,
  );
  u.setScale("x", axis.range);
  followFinger(u);
  return u;
};

// A finger that moves sideways moves the cursor.
const followFinger = (u) => {
  const move = (event) => {
    const box = u.over.getBoundingClientRect();
    const touch = event.touches[0];
    u.setCursor({ left: touch.clientX - box.left, top: touch.clientY - box.top }, true, true);
  };
  u.over.addEventListener("touchstart", move, { passive: true });
  u.over.addEventListener("touchmove", move, { passive: true });
};

// The distribution over 1 / (1 - quantile). The maximum is where one latency of all is.
const distributionTable = (distribution) => {
  const greatest = Math.max(distribution.count, 2);
  const table = new Map();
  for (const [quantile, milliseconds] of distribution.points) {
    table.set(quantile < 1 ? Math.min(1 / (1 - quantile), greatest) : greatest, milliseconds);
  }
  const points = [...table].sort(([a], [b]) => a - b);
  return [points.map(([inverse]) => inverse), points.map(([, milliseconds]) => Math.max(milliseconds, SMALLEST_LATENCY))];
};

// The first point of a line at or after the quantile: so many of the orders took at most as long.
const firstFrom = (u, line, place, inverse) => {
  let at = u.data[0][place] < inverse ? place + 1 : place;
  if (line === 0) return Math.min(at, u.data[0].length - 1);
  while (at < u.data[line].length && u.data[line][at] == null) at += 1;
  return at < u.data[line].length ? at : null;
};

const PERCENTILES = [2, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

const distributionChart = (figure, lines) => {
  const tables = lines.map(distributionTable);
  const columns = uPlot.join(tables);
  const plot = figure.querySelector(".plot");
  const readout = figure.querySelector(".at");
  const setValues = drawLegend(figure.querySelector(".legend"), lines, (place, show) => u.setSeries(place + 1, { show }));
  const showValues = () => {
    const { left, idxs } = u.cursor;
    const known = left >= 0 && idxs != null;
    readout.textContent = known ? percentile(u.posToVal(left, "x")) : "";
    setValues(
      lines.map((line, place) => {
        const at = known ? idxs[place + 1] : null;
        return at == null ? (known ? "–" : "") : UNITS.milliseconds(columns[place + 1][at]);
      }),
    );
  };
  const greatest = Math.max(...lines.map((line) => line.count), 10);
  const u = new uPlot(
    {
      width: plot.clientWidth,
      height: 280,
      padding: [10, 30, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false }, dataIdx: firstFrom, bind: { dblclick: () => () => u.setScale("x", { min: 1, max: greatest }) } },
      scales: { x: { time: false, distr: 3, range: (u, min, max) => [min, max] }, y: { distr: 3 } },
      axes: axes(
        {
          splits: (u) => PERCENTILES.filter((inverse) => inverse >= u.scales.x.min && inverse <= u.scales.x.max),
          filter: (u, splits) => splits,
          values: (u, splits) => splits.map(percentile),
        },
        { ...powersOfTen, values: (u, splits) => splits.map(significant) },
      ),
      series: [{}, ...lineSeries(lines, columns, false).map((series) => ({ ...series, spanGaps: true, points: { show: false } }))],
      hooks: { setCursor: [showValues] },
    },
    columns,
    plot,
  );
  u.setScale("x", { min: 1, max: greatest });
  followFinger(u);
  return u;
};
