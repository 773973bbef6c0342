// A report's script: in the place of the curves that the file holds as pictures, curves that answer.
import type { Course } from '../../report/say.ts';
import { Charts } from '../dashboard/charts.ts';

/** What the file holds for it. */
interface ReportData extends Course {
  readonly name: string;
}

export function begin(): void {
  const data = JSON.parse(document.getElementById('run')?.textContent ?? '') as ReportData;
  const charts = new Charts();
  charts.show([{ id: 0, ...data }], 'step');
  document.querySelector('.charts.first')?.replaceWith(charts.first);
  document.querySelector('.charts:not(.first)')?.replaceWith(charts.others);
}
