// Values as text, by the units of Grafana that the dashboards use.
const digits = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 3 });

const scaled = (value, scales) => {
  const [factor, name] = scales.find(([factor]) => Math.abs(value) >= factor) ?? scales.at(-1);
  return `${digits(value / factor)} ${name}`.trim();
};

const SECONDS = [[60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
const BYTES = [[2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];
const NUMBERS = [[1e6, "M"], [1e4, "k"], [1, ""]];

const formats = {
  s: (value) => (value === 0 ? "0 s" : scaled(value, SECONDS)),
  bytes: (value) => scaled(value, BYTES),
  percentunit: (value) => `${digits(100 * value)} %`,
  short: (value) => (value < 1e4 ? digits(value) : scaled(value, NUMBERS)),
};

const formatOf = (unit) =>
  unit.startsWith("suffix:") ? (value) => digits(value) + unit.slice("suffix:".length) : formats[unit];
