// Lists as CSV (RFC 4180). A spreadsheet takes a cell that begins with = + - @, a tab or a carriage return for a formula, and somebody else may have written its
// content: such a cell gets a leading apostrophe. Numbers are left as they are.

const formula = /^[\s\u00a0\ufeff]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/
const number = /^[+-]?\d+(\.\d+)?$/

export function csvCell(value: unknown): string {
    let text = value === null || value === undefined ? '' : String(value)
    if (/^[\t\r]/.test(text) || (formula.test(text) && !number.test(text))) text = `'${text}`
    return /[",\r\n']/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text
}

export function toCsv(columns: string[], rows: Record<string, unknown>[]): string {
    const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))]
    return lines.map((cells) => cells.map(csvCell).join(',') + '\r\n').join('')
}

export function download(name: string, text: string, type = 'text/csv'): void {
    const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }))
    const link = document.createElement('a')
    link.href = url
    link.download = name
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
