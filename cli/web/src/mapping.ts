// Converts `match` and `field_map` to rows of a form, and back to the JSON of the type. What rows cannot express stays JSON.
import { type Json, compact, get, tryParse } from './json.ts'

export type MapRow = { target: string; kind: 'column' | 'value' | 'expr'; text: string; only: string }

export function toRows(text: string): MapRow[] | null {
    if (text.trim() === '') return []
    const value = tryParse(text)
    if (value?.kind !== 'object') return null
    const rows = value.entries.map(([target, source]) => toRow(target, source))
    return rows.every((row) => row !== null) ? (rows as MapRow[]) : null
}

function toRow(target: string, source: Json): MapRow | null {
    if (source.kind === 'string') return { target, kind: 'column', text: source.value, only: '' }
    if (source.kind !== 'object') return null
    const known = source.entries.filter(([key]) => key !== 'only')
    const only = get(source, 'only')
    if (known.length !== 1 || (only !== null && only.kind !== 'string')) return null
    const [key, value] = known[0]!
    const row = { target, only: only?.kind === 'string' ? only.value : '' }
    if (key === 'value') return { ...row, kind: 'value', text: compact(value) }
    if ((key === 'column' || key === 'expr') && value.kind === 'string') return { ...row, kind: key, text: value.value }
    return null
}

// A constant that is not JSON is taken as text.
const constant = (text: string): string => (tryParse(text) ? text.trim() : JSON.stringify(text))

export function fromRows(rows: MapRow[]): string {
    const entries = rows.filter((row) => row.target !== '' || row.text !== '').map((row) => {
        const value = row.kind === 'value' ? constant(row.text) : JSON.stringify(row.text)
        const simple = row.kind === 'column' && !row.only
        const source = simple ? value : `{${JSON.stringify(row.kind)}: ${value}${row.only ? `, "only": ${JSON.stringify(row.only)}` : ''}}`
        return `${JSON.stringify(row.target)}: ${source}`
    })
    return entries.length ? `{${entries.join(', ')}}` : ''
}
