// What changed, from old to new: a job's diff_summary as rows of a table, and the part of a text that differs.
import { type Json, compact, get, isNull } from './json.ts'

export type Change = { field: string; sign: '+' | '−' | '~' | '='; old: Json | null; new: Json | null; secret: boolean }

const isPair = (value: Json): boolean =>
    value.kind === 'object' && value.entries.length > 0 && value.entries.every(([key]) => key === 'old' || key === 'new')

const isSecret = (value: Json): boolean => value.kind === 'object' && value.entries.length === 1 && get(value, 'secret') !== null

// The rows of a diff_summary; null if it has another form, which a bypass controller may return.
export function changes(diff: Json): Change[] | null {
    if (diff.kind !== 'object' || !diff.entries.every(([, value]) => isPair(value) || isSecret(value))) return null
    return diff.entries.map(([field, value]) => {
        if (isSecret(value)) return { field, sign: '~', old: null, new: null, secret: true }
        return change(field, get(value, 'old'), get(value, 'new'))
    })
}

function change(field: string, before: Json | null, after: Json | null): Change {
    const sign = isNull(before) ? (isNull(after) ? '=' : '+') : isNull(after) ? '−' : '~'
    return { field, sign, old: before, new: after, secret: false }
}

// Two snapshots side by side: every key that one of them has, those that differ first.
export function compareSnapshots(before: Json, after: Json): Change[] | null {
    if (before.kind !== 'object' || after.kind !== 'object') return null
    const keys = [...new Set([...before.entries, ...after.entries].map(([key]) => key))]
    const rows = keys.map((key): Change => {
        const [a, b] = [get(before, key), get(after, key)]
        if (a && b && compact(a) === compact(b)) return { field: key, sign: '=', old: a, new: b, secret: false }
        return change(key, a, b)
    })
    return [...rows.filter((row) => row.sign !== '='), ...rows.filter((row) => row.sign === '=')]
}

// [common beginning, only in a, only in b, common end]; characters beyond 16 bits are not split.
export function splitDifference(a: string, b: string): [string, string, string, string] {
    const [x, y] = [Array.from(a), Array.from(b)]
    const shorter = Math.min(x.length, y.length)
    let head = 0
    while (head < shorter && x[head] === y[head]) head++
    let tail = 0
    while (tail < shorter - head && x[x.length - 1 - tail] === y[y.length - 1 - tail]) tail++
    const cut = (list: string[], from: number, to: number) => list.slice(from, to).join('')
    return [cut(x, 0, head), cut(x, head, x.length - tail), cut(y, head, y.length - tail), cut(x, x.length - tail, x.length)]
}
