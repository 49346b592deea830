// Figures as text, as in the tables: thousands separators and three significant digits.
const significant = (value) => {
  const size = Math.abs(value);
  const decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  return value.toLocaleString("en-US", { maximumFractionDigits: decimals });
};

const UNITS = {
  number: significant,
  "per-second": (value) => `${significant(value)} /s`,
  milliseconds: (value) => `${significant(value)} ms`,
  share: (value) => `${significant(100 * value)} %`,
  cores: significant,
  mebibytes: (value) => `${significant(value)} MiB`,
};

// The labels of a vertical axis have no unit: the title of the chart has it.
const AXIS_UNITS = {
  ...UNITS,
  "per-second": significant,
  milliseconds: significant,
  share: (value) => `${(100 * value).toLocaleString("en-US", { maximumFractionDigits: 3 })} %`,
  mebibytes: significant,
};

// A time of the run: 0:24, 1:04:24, and 0:24.5 when the axis is zoomed to parts of a second.
const clock = (value, decimals = 0) => {
  const parts = 10 ** decimals;
  const total = Math.round(Math.abs(value) * parts);
  const seconds = total / parts;
  const two = (number) => String(number).padStart(2, "0");
  const rest = (seconds % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const sign = value < 0 && total > 0 ? "-" : "";
  return sign + (hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`);
};

// The percentile at 1 / (1 - quantile): 2 is 50 %, 1000 is 99.9 %.
const percentile = (inverse) => {
  const decimals = Math.min(7, Math.max(0, Math.ceil(Math.log10(inverse) - 1e-9) - 1));
  return `${Number((100 * (1 - 1 / inverse)).toFixed(decimals))} %`;
};
