// The subgroup matrix builtins as WebGPU implementations spelled them first: the major order as an argument, not in the type.

/**
 * Restates `subgroupMatrixLoad<T, row_major>(&from, offset, stride)` as `subgroupMatrixLoad<T>(&from, offset, false, stride)`
 * and `subgroupMatrixStore<row_major>(&to, offset, matrix, stride)` as `subgroupMatrixStore(&to, offset, matrix, false,
 * stride)`; col_major becomes true.
 */
export function oldSpelling(code: string): string {
  const call = /\bsubgroupMatrix(Load<(?:[^()]*?), |Store<)(row|col)_major>\(/g;
  let out = '';
  let done = 0;
  for (let m = call.exec(code); m; m = call.exec(code)) {
    const { list, end } = argumentsFrom(code, call.lastIndex);
    const type = m[1].startsWith('Load') ? `${m[1].slice(0, -2)}>` : 'Store';
    const before = list.slice(0, -1).map(oldSpelling);
    const after = oldSpelling(list[list.length - 1]);
    out += `${code.slice(done, m.index)}subgroupMatrix${type}(${[...before, m[2] === 'col', after].join(', ')})`;
    done = call.lastIndex = end;
  }
  return out + code.slice(done);
}

/** The arguments of a call whose parenthesis opened just before `start`, and where it ends. */
function argumentsFrom(code: string, start: number): { list: string[]; end: number } {
  const list: string[] = [];
  let depth = 0;
  let from = start;
  for (let i = start; i < code.length; i++) {
    const closes = code[i] === ')' && depth === 0;
    if (closes || (code[i] === ',' && depth === 0)) {
      list.push(code.slice(from, i).trim());
      from = i + 1;
    }
    if (closes) return { list, end: i + 1 };
    if ('([{'.includes(code[i])) depth++;
    else if (')]}'.includes(code[i])) depth--;
  }
  throw new Error('spelling: a subgroup matrix call has no closing parenthesis');
}
