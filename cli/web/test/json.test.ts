// The lossless JSON: what goes in comes out, and errors are reported with their position.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changes, compareSnapshots, splitDifference } from '../src/diff.ts'
import { compact, get, parseJson, pretty, stringify, tryParse } from '../src/json.ts'
import { fromRows, toRows } from '../src/mapping.ts'

test('numbers stay the texts that they are', () => {
    for (const number of ['9007199254740993', '-12345678901234567890.10', '1.10', '1e400', '-0', '0.1E-7', '100000000000000000000000000000000000001']) {
        assert.equal(compact(parseJson(number)), number)
        assert.equal(compact(parseJson(`{"a": [${number}]}`)), `{"a": [${number}]}`)
    }
})

test('keys keep their order, and those that are there twice stay', () => {
    assert.equal(compact(parseJson('{"b":1,"a":2,"b":3,"__proto__":4,"10":5,"9":6}')), '{"b": 1, "a": 2, "b": 3, "__proto__": 4, "10": 5, "9": 6}')
    assert.equal(get(parseJson('{"x":1}'), '__proto__'), null)
    assert.equal(get(parseJson('{"x":1}'), 'toString'), null)
})

test('strings: escapes, controls, characters beyond 16 bits', () => {
    const text = '"a\\"b\\\\c\\/d\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00 </script> 😀"'
    assert.deepEqual(parseJson(text), { kind: 'string', value: JSON.parse(text) })
    assert.equal(JSON.parse(stringify(parseJson(text))), JSON.parse(text))
    assert.equal(JSON.parse(stringify(parseJson('"\\u0001\\u2028"'))), '\u0001\u2028')
})

test('it takes what JSON.parse takes, and nothing else', () => {
    const good = ['{}', '[]', ' [ ] ', 'null', 'true', '"x"', '[1,[2,{"a":[]}]]', '{"a":{"b":null}}', '\t\n\r 1 ']
    const bad = ['', ' ', '{', '[1,]', '{"a":1,}', '{a:1}', "{'a':1}", '01', '1.', '.5', '+1', '-', '1e', 'NaN', 'nul', '"', '"\\x"', '"\\u12g4"', '"\n"', '[1 2]', '{"a" 1}', '1 2', '[1]]', '\u00a01', '\ufeff1', '//', 'tru', '{"a":}']
    for (const text of good) assert.deepEqual(JSON.parse(compact(parseJson(text))), JSON.parse(text))
    for (const text of bad) {
        assert.throws(() => JSON.parse(text), undefined, text)
        assert.equal(tryParse(text), null, text)
    }
})

test('an error has line and column', () => {
    assert.throws(() => parseJson('{\n  "a": 1,\n  "b": }'), /^Error: line 3, column 8: a value cannot begin with "}"$/)
    assert.throws(() => parseJson('{"a": 1 "b": 2}'), /line 1, column 9: "," or "}" is missing/)
})

test('what is nested too deep is no catastrophe', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    assert.equal(tryParse(deep), null)
    assert.equal(pretty(deep), deep)
})

test('random values come back the same', () => {
    let seed = 42
    const random = (n: number) => ((seed = (seed * 1103515245 + 12345) % 2147483648), seed % n)
    const make = (depth: number): unknown => {
        const kind = random(depth > 3 ? 4 : 6)
        if (kind === 0) return random(1000) / 8
        if (kind === 1) return [null, true, false][random(3)]
        if (kind < 4) return Array.from({ length: random(6) }, () => String.fromCodePoint([34, 92, 10, 65, 0x1f600, 0xe9, 0x7f][random(7)]!)).join('')
        if (kind === 4) return Array.from({ length: random(4) }, () => make(depth + 1))
        return Object.fromEntries(Array.from({ length: random(4) }, (_, i) => [`k${i}`, make(depth + 1)]))
    }
    for (let i = 0; i < 2000; i++) {
        const value = make(0)
        assert.deepEqual(JSON.parse(stringify(parseJson(JSON.stringify(value)))), value)
        assert.deepEqual(JSON.parse(compact(parseJson(JSON.stringify(value, null, 3)))), value)
    }
})

test('a diff: signs, secrets, other forms', () => {
    const rows = changes(parseJson('{"a": {"old": 9007199254740993, "new": 9007199254740994}, "b": {"old": null, "new": 1}, "c": {"new": null, "old": 1}, "d": {"secret": true}}'))!
    assert.deepEqual(rows.map((row) => row.field + row.sign), ['a~', 'b+', 'c−', 'd~'])
    assert.equal(compact(rows[0]!.old!), '9007199254740993')
    assert.equal(rows[3]!.secret, true)
    assert.equal(changes(parseJson('{"archived": 730}')), null)
    assert.equal(changes(parseJson('[1]')), null)
})

test('snapshots: what differs comes first, and two numbers that a double cannot tell apart differ', () => {
    const rows = compareSnapshots(parseJson('{"id": 1, "n": 9007199254740992}'), parseJson('{"id": 1, "n": 9007199254740993}'))!
    assert.deepEqual(rows.map((row) => row.field + row.sign), ['n~', 'id='])
})

test('the part of a text that differs, without cutting a character', () => {
    assert.deepEqual(splitDifference('Geneva', 'Genova'), ['Gen', 'e', 'o', 'va'])
    assert.deepEqual(splitDifference('aa', 'aaa'), ['aa', '', 'a', ''])
    assert.deepEqual(splitDifference('x😀', 'x😁'), ['x', '😀', '😁', ''])
    assert.deepEqual(splitDifference('', ''), ['', '', '', ''])
})

test('field_map as rows, and back', () => {
    const text = '{"name": "name", "city": {"column": "city", "only": "insert"}, "n": {"value": 9007199254740993}, "x": {"expr": "upper(source.\\"a\\")"}}'
    assert.equal(fromRows(toRows(text)!), text)
    assert.equal(fromRows([{ target: 'a', kind: 'value', text: 'plain words', only: '' }]), '{"a": {"value": "plain words"}}')
    assert.equal(toRows('{"a": {"column": "b", "other": 1}}'), null)
    assert.equal(toRows('{"a": 1}'), null)
    assert.deepEqual(toRows(''), [])
    assert.equal(fromRows([]), '')
})
