// CSV that no spreadsheet takes for formulas; addresses, times and bodies of requests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createElement } from 'preact'
import { csvCell, toCsv } from '../src/csv.ts'
import { href, parseRoute } from '../src/router.ts'
import { formatTime, intervalSeconds, span } from '../src/time.ts'
import { makeTextsVisible, visible } from '../src/visible.ts'

test('a cell that begins a formula gets an apostrophe', () => {
    for (const text of ['=1+1', '=HYPERLINK("http://x")', '+cmd|x', '-2+3', '@SUM(A1)', ' =1', '\t=1', '\r=1', '\n=1', '\u00a0=1', '＝1', '-x', '+'])
        assert.match(csvCell(text), /^"?'/, JSON.stringify(text))
    for (const text of ['-1', '+41', '-1.50', '12', 'a=b', 'a-b', '']) assert.doesNotMatch(csvCell(text), /^"?'/, text)
})

test('quotes, commas and line breaks', () => {
    assert.equal(csvCell('a"b'), '"a""b"')
    assert.equal(csvCell('a,b'), '"a,b"')
    assert.equal(csvCell('a\nb'), '"a\nb"')
    assert.equal(csvCell(null), '')
    assert.equal(csvCell(false), 'false')
    assert.equal(toCsv(['id', 'error'], [{ id: '9007199254740993', error: '=x' }, { id: '2', error: null }]), 'id,error\r\n9007199254740993,"\'=x"\r\n2,\r\n')
})

test('an address comes back the same, whatever is in it', () => {
    const name = '<b>/ä?&#%"\' 100%'
    const route = parseRoute(href(['types', name], { document: name, status: 'Failed,No Target', empty: '' }))
    assert.deepEqual(route.path, ['types', name])
    assert.deepEqual([...route.query], [['document', name], ['status', 'Failed,No Target']])
    assert.deepEqual(parseRoute('#/jobs/%zz').path, ['jobs', '%zz'])
    assert.deepEqual(parseRoute('').path, [])
})

test('times and intervals', () => {
    assert.equal(formatTime('2026-11-29T02:31:15.123456+00:00', true), '2026-11-29 02:31:15')
    assert.equal(formatTime('infinity', true), 'infinity')
    assert.equal(intervalSeconds('1 day 02:03:04.5'), 93784.5)
    assert.equal(intervalSeconds('-00:00:01'), -1)
    assert.equal(intervalSeconds('2 mons'), 5184000)
    assert.equal(intervalSeconds(null), null)
    assert.deepEqual([0.4, 3.2, 59, 600, 7300, 200000].map(span), ['400 ms', '3.2 s', '59 s', '10 min', '2 h', '2 days'])
})

test('what one does not see becomes visible, what one needs to write stays', () => {
    assert.equal(visible('a\u0000b\u001b[31m\u007f\u0085'), 'a\\x00b\\x1b[31m\\x7f\\u0085')
    assert.equal(visible('abc\u202egpj.exe\u2069\u200b\ufeff'), 'abc\\u202egpj.exe\\u2069\\u200b\\ufeff')
    assert.equal(visible('\u{e0041}'), '\\U000e0041')
    for (const text of ['two\nlines\tand a tab', 'Zürich', '\u05d0\u05d1', '👩‍👩‍👧', 'می‌خواهم', '']) assert.equal(visible(text), text)
})

test('each text and title of an element goes through it, a value that is edited does not', () => {
    makeTextsVisible()
    const vnode = createElement('p', { title: 'a\u202e' }, 'b\u202e', ['c\u0001', createElement('input', { value: 'd\u202e' })])
    const [text, list] = vnode.props.children as unknown as [string, [string, typeof vnode]]
    assert.deepEqual([vnode.props.title, text, list[0]], ['a\\u202e', 'b\\u202e', 'c\\x01'])
    assert.equal((list[1].props as { value?: string }).value, 'd\u202e')
})
