// Colors are those of the style sheet, so that they follow the theme.
const COLORS = 8;
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);

const color = (name) => {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};

const translucent = (name, percent) => {
  probe.style.color = `color-mix(in srgb, var(--${name}) ${percent}%, transparent)`;
  return getComputedStyle(probe).color;
};

const lineColorName = (line, place) => `line-${typeof (line.color ?? place) === "number" ? (line.color ?? place) % COLORS : line.color}`;

// More lines than colors: the next ones are dashed.
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
const lineDash = (line, place) => {
  if (line.dash === "dotted") return [2, 3];
  return line.dash === "by-place" && line.color == null ? DASHES[Math.floor(place / COLORS) % DASHES.length] : [];
};
// What is asked is a wide line behind the others: they cover it as long as they keep up.
const LINE_WIDTHS = { thin: 1, dotted: 1, wide: 6 };
const lineWidth = (line) => LINE_WIDTHS[line.dash] ?? 1.75;
const LINE_OPACITIES = { thin: 0.8, wide: 0.4 };
const lineOpacity = (line) => LINE_OPACITIES[line.dash] ?? 1;
