// The names of the lines with their values at the cursor. A name hides or shows its line.
const drawLegend = (element, lines, onToggle) => {
  const entries = lines.map((line, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(line.shown));
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    swatch.style.borderTopColor = `var(--${lineColorName(line, place)})`;
    swatch.style.borderTopWidth = `${Math.min(6, Math.max(1.5, 1.7 * lineWidth(line)))}px`;
    swatch.style.opacity = lineOpacity(line);
    const dashed = lineDash(line, place).length > 0;
    swatch.style.borderTopStyle = line.dash === "dotted" ? "dotted" : dashed ? "dashed" : "solid";
    const name = document.createElement("span");
    name.textContent = line.name;
    const value = document.createElement("b");
    button.append(swatch, name, value);
    button.addEventListener("click", () => {
      line.shown = !line.shown;
      button.setAttribute("aria-pressed", String(line.shown));
      onToggle(place, line.shown);
    });
    return { button, value };
  });
  element.replaceChildren(...entries.map(({ button }) => button));
  return (texts) => entries.forEach(({ value }, place) => (value.textContent = texts[place]));
};
