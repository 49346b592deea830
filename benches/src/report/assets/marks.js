// Faults are shaded behind the lines and named above them, phases are divided by a dashed line.
// The height of their names; those of several runs are not named.
const marksHeight = (data) => (data.phases.length > 0 || data.marks.some((mark) => mark.run == null) ? 34 : 10);
const MARK_FONT = 11;

// Writes names from left to right, and only those, in part or in full, that have room.
const writeNames = (context, names, left, right) => {
  let free = left;
  names.forEach(({ x, y, forms }, place) => {
    const end = place + 1 < names.length ? names[place + 1].x : right;
    const at = Math.max(x, free, left);
    const fitting = forms.find((form) => at + context.measureText(form).width <= Math.min(end, right) - 2);
    if (fitting === undefined) return;
    context.fillText(fitting, at, y);
    free = at + context.measureText(fitting).width + MARK_FONT / 2;
  });
};

const marksPlugin = (data) => {
  const visible = (u, { begin, end }) => begin <= u.scales.x.max && (end ?? begin) >= u.scales.x.min;
  const shade = (u) => {
    const { ctx: context, bbox } = u;
    const ratio = uPlot.pxRatio;
    const position = (seconds) =>
      Math.min(Math.max(u.valToPos(seconds, "x", true), bbox.left), bbox.left + bbox.width);
    context.save();
    for (const mark of data.marks.filter((mark) => visible(u, mark))) {
      const name = mark.run == null ? "fault" : `line-${mark.run % COLORS}`;
      const [from, to] = [position(mark.begin), position(mark.end ?? mark.begin)];
      context.fillStyle = translucent(name, mark.run == null ? 14 : 9);
      context.fillRect(from, bbox.top, to - from, bbox.height);
      context.fillStyle = translucent(name, 60);
      context.fillRect(from, bbox.top, ratio, bbox.height);
    }
    context.strokeStyle = color("muted");
    context.globalAlpha = 0.55;
    context.lineWidth = ratio;
    context.setLineDash([3 * ratio, 3 * ratio]);
    for (const phase of data.phases) {
      if (phase.begin <= u.scales.x.min || phase.begin >= u.scales.x.max) continue;
      const x = Math.round(position(phase.begin)) + ratio / 2;
      context.beginPath();
      // Not through the row of the faults' names.
      context.moveTo(x, bbox.top - 30 * ratio);
      context.lineTo(x, bbox.top - 17 * ratio);
      context.moveTo(x, bbox.top);
      context.lineTo(x, bbox.top + bbox.height);
      context.stroke();
    }
    context.restore();
  };
  const label = (u) => {
    const { ctx: context, bbox } = u;
    const ratio = uPlot.pxRatio;
    const right = bbox.left + bbox.width;
    context.save();
    context.font = `${MARK_FONT * ratio}px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    const named = (marks, row, indent, forms) =>
      marks
        .filter((mark) => visible(u, mark))
        .map((mark) => ({
          x: Math.max(u.valToPos(mark.begin, "x", true), bbox.left) + indent * ratio,
          y: bbox.top - row * ratio,
          forms: forms(mark),
        }));
    context.fillStyle = color("muted");
    writeNames(context, named(data.phases, 20, 4, (phase) => [phase.name]), bbox.left, right);
    context.fillStyle = color("fault-text");
    const faults = data.marks.filter((mark) => mark.run == null).sort((a, b) => a.begin - b.begin);
    writeNames(context, named(faults, 5, 0, (fault) => [`${fault.number} ${fault.name}`, `${fault.number}`]), bbox.left, right);
    context.restore();
  };
  return { hooks: { drawClear: [shade], draw: [label] } };
};

// What is in force at a time, for the readout beside the title.
const marksAt = (data, seconds) => [
  ...data.phases.filter((phase) => phase.begin <= seconds && seconds < phase.end).map((phase) => phase.name),
  ...data.marks
    .filter((mark) => mark.run == null && mark.begin <= seconds && seconds < (mark.end ?? mark.begin + 1))
    .map((mark) => mark.name),
];
