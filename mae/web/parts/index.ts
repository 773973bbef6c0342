// The parts that the page, the dashboard and reports are made of: curves, figures, tables and images through time. parts.css, after
// theme.css, is how they look.
export { type Curve, type CurveOptions, Curves, type CurvesOptions } from './curves.ts';
export { domOf, setText } from './dom.ts';
export { Figures } from './figures.ts';
export { Gallery, type Shown } from './gallery.ts';
export { type Child, h, htmlOf, type Markup } from './markup.ts';
export { axisLabels, short } from './numbers.ts';
export { type Cell, type Column, type Figure, figures, gallery, settings, type Shot, table } from './pieces.ts';
export { Series } from './series.ts';
export { Table } from './table.ts';
