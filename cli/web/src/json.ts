// Lossless JSON. JSON.parse changes 9007199254740993 and 1.10; here a number stays the text that it is, and an object keeps the order of its keys,
// and duplicate keys. For values that are shown, compared and edited.

export type Json =
    | { kind: 'object'; entries: [string, Json][] }
    | { kind: 'array'; items: Json[] }
    | { kind: 'string'; value: string }
    | { kind: 'number'; text: string }
    | { kind: 'literal'; text: 'true' | 'false' | 'null' }

export class JsonError extends Error {
    constructor(
        message: string,
        readonly position: number,
        text: string,
    ) {
        const before = text.slice(0, position)
        const line = before.split('\n').length
        const column = position - (before.lastIndexOf('\n') + 1) + 1
        super(`line ${line}, column ${column}: ${message}`)
    }
}

const deepest = 500 // beyond it a value is shown as the text that it is

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const blank = /[ \t\n\r]*/y
// eslint-disable-next-line no-control-regex
const plain = /[^"\\\u0000-\u001f]*/y
const escapes: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

class Parser {
    private at = 0

    constructor(private readonly text: string) {}

    whole(): Json {
        const value = this.value(0)
        this.skip()
        if (this.at < this.text.length) this.fail('there is more after the value')
        return value
    }

    private fail(message: string): never {
        throw new JsonError(message, this.at, this.text)
    }

    private skip(): void {
        blank.lastIndex = this.at
        blank.test(this.text)
        this.at = blank.lastIndex
    }

    private value(depth: number): Json {
        if (depth > deepest) this.fail('nested too deep')
        this.skip()
        const c = this.text[this.at]
        if (c === undefined) this.fail('a value is missing')
        if (c === '{') return this.object(depth)
        if (c === '[') return this.array(depth)
        if (c === '"') return { kind: 'string', value: this.string() }
        number.lastIndex = this.at
        const found = number.exec(this.text)
        if (found) {
            this.at = number.lastIndex
            return { kind: 'number', text: found[0] }
        }
        for (const text of ['true', 'false', 'null'] as const) {
            if (this.text.startsWith(text, this.at)) {
                this.at += text.length
                return { kind: 'literal', text }
            }
        }
        return this.fail(`a value cannot begin with ${JSON.stringify(c)}`)
    }

    // Whether the list continues after a value; false at its closing bracket.
    private more(close: string): boolean {
        this.skip()
        const c = this.text[this.at]
        if (c !== ',' && c !== close) this.fail(`"," or "${close}" is missing`)
        this.at++
        return c === ','
    }

    private empty(close: string): boolean {
        this.at++
        this.skip()
        if (this.text[this.at] !== close) return false
        this.at++
        return true
    }

    private object(depth: number): Json {
        const entries: [string, Json][] = []
        if (this.empty('}')) return { kind: 'object', entries }
        do {
            this.skip()
            if (this.text[this.at] !== '"') this.fail('a key in double quotes is missing')
            const key = this.string()
            this.skip()
            if (this.text[this.at] !== ':') this.fail('":" is missing')
            this.at++
            entries.push([key, this.value(depth + 1)])
        } while (this.more('}'))
        return { kind: 'object', entries }
    }

    private array(depth: number): Json {
        const items: Json[] = []
        if (this.empty(']')) return { kind: 'array', items }
        do items.push(this.value(depth + 1))
        while (this.more(']'))
        return { kind: 'array', items }
    }

    private string(): string {
        let value = ''
        this.at++
        for (;;) {
            plain.lastIndex = this.at
            plain.test(this.text)
            value += this.text.slice(this.at, plain.lastIndex)
            this.at = plain.lastIndex
            const c = this.text[this.at]
            if (c === '"') break
            if (c !== '\\') this.fail(c === undefined ? 'a string does not end' : 'a control character has to be escaped')
            value += this.escape()
        }
        this.at++
        return value
    }

    private escape(): string {
        const c = this.text[this.at + 1] ?? ''
        if (c === 'u') {
            const code = this.text.slice(this.at + 2, this.at + 6)
            if (!/^[0-9a-fA-F]{4}$/.test(code)) this.fail('four hexadecimal digits are missing after \\u')
            this.at += 6
            return String.fromCharCode(parseInt(code, 16))
        }
        const value = escapes[c]
        if (value === undefined) this.fail('an unknown escape')
        this.at += 2
        return value
    }
}

export const parseJson = (text: string): Json => new Parser(text).whole()

export function tryParse(text: string): Json | null {
    try {
        return parseJson(text)
    } catch {
        return null
    }
}

export function stringify(value: Json, indent = '', step = '  '): string {
    const inner = indent + step
    switch (value.kind) {
        case 'string':
            return JSON.stringify(value.value)
        case 'number':
        case 'literal':
            return value.text
        case 'array':
            if (value.items.length === 0) return '[]'
            return `[\n${value.items.map((item) => inner + stringify(item, inner, step)).join(',\n')}\n${indent}]`
        case 'object':
            if (value.entries.length === 0) return '{}'
            return `{\n${value.entries.map(([key, item]) => `${inner}${JSON.stringify(key)}: ${stringify(item, inner, step)}`).join(',\n')}\n${indent}}`
    }
}

// On one line, for cells.
export function compact(value: Json): string {
    switch (value.kind) {
        case 'array':
            return `[${value.items.map(compact).join(', ')}]`
        case 'object':
            return `{${value.entries.map(([key, item]) => `${JSON.stringify(key)}: ${compact(item)}`).join(', ')}}`
        default:
            return stringify(value)
    }
}

// The text formatted for reading; unchanged if it is not JSON, or is too deep.
export function pretty(text: string): string {
    const value = tryParse(text)
    return value ? stringify(value) : text
}

export const get = (value: Json | null | undefined, key: string): Json | null =>
    value?.kind === 'object' ? (value.entries.find(([name]) => name === key)?.[1] ?? null) : null

export const isNull = (value: Json | null): boolean => value === null || (value.kind === 'literal' && value.text === 'null')

export const same = (a: Json | null, b: Json | null): boolean => a === b || (a !== null && b !== null && compact(a) === compact(b))

// A value as people read it: a string without its quotes.
export const display = (value: Json): string => (value.kind === 'string' ? value.value : compact(value))
