// The stories of the console, one by one, in a real Chromium: each is a person who wants something done.
//   TESTS="retry viewer"   only those with such words in their names
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { Person, eventually, limit, sql, startBrowser, startConsole } from './browser.mjs'

const stories = []
const story = (name, work, options) => stories.push({ name, work, options })
const wanted = (process.env.TESTS ?? '').split(/\s+/).filter(Boolean)

const status = (page, text) => page.locator('.heading .status', { hasText: text }).waitFor()
const jobOf = (page) => /#\/jobs\/(\d+)/.exec(page.url())[1]

story('log in: a wrong password is refused, and the address is kept', async (person) => {
    const { page } = person
    await page.goto(`${person.address}#/jobs?status=Failed&type=Orders`)
    await person.logIn('anna', 'wrong')
    await page.getByRole('alert').waitFor()
    await person.logIn('anna')
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    assert.match(page.url(), /#\/jobs\?status=Failed&type=Orders$/)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('Password').waitFor()
})

story('find a failed job of yesterday by a word of its error, mend its context, retry, and see it end without a reload', async (person) => {
    const page = await person.open('anna', 'jobs')
    await page.evaluate(() => void (window.here = true))
    await page.getByRole('button', { name: 'Failed' }).click()
    await page.getByLabel('Type', { exact: true }).fill('Orders')
    await page.getByLabel('Error', { exact: true }).fill('needle')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.getByRole('button', { name: 'Yesterday' }).click()
    const row = page.locator('table.jobs tbody tr')
    await page.waitForFunction(() => document.querySelectorAll('table.jobs tbody tr').length === 1)
    assert.match(await row.textContent(), /99,90 is no number/)
    await row.getByRole('link').first().click()
    await status(page, 'Failed')
    await page.getByText('the price of 99,90 is no number').first().waitFor()

    await page.getByRole('button', { name: 'Retry with another context' }).click()
    const box = page.getByRole('textbox', { name: 'Context' })
    await box.fill('{"price": 12,50}')
    await page.getByText('line 1, column 14: a key in double quotes is missing').waitFor()
    assert.ok(await page.getByRole('button', { name: 'Retry', exact: true }).last().isDisabled())
    await box.fill('{"price": "12.50", "number": 9007199254740993}')
    await page.locator('dialog').getByRole('button', { name: 'Retry', exact: true }).click()
    await status(page, 'Finished')
    assert.ok(await page.evaluate(() => window.here), 'the page was loaded again')
    assert.equal(await sql(`SELECT context->>'number' FROM sync_job WHERE id = ${jobOf(page)}`), '9007199254740993')
})

story('act on all 12,000 that match, stop half-way, and go on', async (person) => {
    const page = await person.open('otto', 'jobs?status=Failed&error=12%2C50')
    const matching = "status = 'Failed' AND error_message LIKE '%12,50 is no number%'"
    await sql(`SELECT pause_sync_job_type('Orders')`) // so that they stay Queued
    const before = Number(await sql(`SELECT count(*) FROM sync_job WHERE ${matching}`))
    assert.ok(before >= 11_000, `${before} match`)
    await page.getByRole('button', { name: 'Act on all that match' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(`${before.toLocaleString('en-US')} jobs`, { exact: false }).first().waitFor()
    // What comes after the preview is not touched.
    const later = await sql(`SELECT enqueue_sync_job('Orders', 'A-2', '{"price": "12,50"}')`)
    await dialog.getByRole('button', { name: /^Retry [\d,]+ jobs$/ }).click()
    await page.waitForFunction(() => document.querySelector('dialog progress')?.value >= 500)
    await dialog.getByRole('button', { name: 'Stop' }).click()
    const outcome = dialog.locator('.outcome', { hasText: 'Stopped:' })
    await outcome.waitFor()
    const [, at] = /Stopped: ([\d,]+) of/.exec(await outcome.textContent())
    const done = Number(at.replaceAll(',', ''))
    assert.ok(done >= 500 && done < before && done % 500 === 0, `stopped at ${done}`)
    assert.equal(Number(await sql(`SELECT count(*) FROM sync_job WHERE ${matching}`)), before - done)
    await dialog.getByRole('button', { name: /^Go on/ }).click()
    await dialog.getByText(`Done: ${before.toLocaleString('en-US')} of ${before.toLocaleString('en-US')} looked at`).waitFor()
    assert.equal(await sql(`SELECT count(*) FROM sync_job WHERE ${matching}`), '0')
    assert.equal(await sql(`SELECT retry_count FROM sync_job WHERE id = ${later}`), '0')
    await dialog.getByRole('button', { name: 'Close' }).last().click()
})

story('dry run, read the diff, apply, revert, as an operator who is not run_as', async (person) => {
    await sql("UPDATE shop.customer SET city = 'Geneva', account = 9007199254740995 WHERE id = 1")
    const page = await person.open('otto', 'types/Contacts')
    await page.getByRole('button', { name: 'Dry run' }).click()
    await page.getByLabel('Document').fill('1')
    await page.getByRole('button', { name: 'Try it' }).click()
    await status(page, 'Finished')
    const diff = page.locator('table.diff')
    await diff.waitFor()
    assert.match(await diff.locator('tr', { hasText: 'city' }).textContent(), /Bern.*Geneva/)
    assert.match(await diff.locator('tr', { hasText: 'account' }).textContent(), /9007199254740993.*9007199254740995/)
    const city = () => sql('SELECT city || account FROM crm.contact WHERE customer = 1')
    assert.equal(await city(), 'Bern9007199254740993')

    const dryRun = jobOf(page)
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Apply' }).click()
    await page.waitForFunction((id) => !location.hash.endsWith(`/${id}`), dryRun)
    await status(page, 'Finished')
    assert.equal(await city(), 'Geneva9007199254740995')

    const applied = jobOf(page)
    await page.getByRole('button', { name: 'Revert' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revert' }).click()
    await page.waitForFunction((id) => !location.hash.endsWith(`/${id}`), applied)
    await status(page, 'Finished')
    assert.equal(await city(), 'Bern9007199254740993')
})

story('compare a type, and read what is out of step; what is wrong is told in the dialog', async (person) => {
    const page = await person.open('anna', 'types/Contacts')
    await page.getByRole('button', { name: 'Compare' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Documents to list').fill('seven')
    await dialog.getByRole('button', { name: 'Compare', exact: true }).click()
    const problem = dialog.getByRole('alert')
    await problem.waitFor()
    assert.match(await problem.textContent(), /invalid input syntax.*seven.*SQLSTATE 22P02/s)
    await dialog.getByLabel('Only sources for which').fill('source.id <= 40')
    await dialog.getByLabel('Documents to list').fill('7')
    await dialog.getByRole('button', { name: 'Compare', exact: true }).click()
    await status(page, 'Finished')
    const missing = await sql('SELECT count(*) FROM shop.customer AS c WHERE c.id <= 40 AND NOT EXISTS (SELECT FROM crm.contact AS t WHERE t.customer = c.id)')
    const result = page.locator('section', { has: page.getByRole('heading', { name: 'Result' }) })
    assert.match(await result.textContent(), new RegExp(`"missing": ${missing}\\b`))
    const listed = Math.min(7, Number(await sql(`SELECT result->>'out_of_step' FROM sync_job WHERE id = ${jobOf(page)}`)))
    assert.equal(await result.getByRole('table', { name: 'Documents that are out of step' }).locator(':scope > tbody > tr').count(), listed)
    await person.go('types/Contacts')
    await page.getByRole('table', { name: 'Full syncs and compares' }).getByRole('row', { name: /Compare.*missing/ }).first().waitFor()
    await person.go('freshness')
    await page.getByRole('row', { name: /Contacts/ }).waitFor()
})

story('make a declared type in the form, with the findings at their fields, and change it', async (person) => {
    const page = await person.open('anna', 'types')
    await page.getByRole('link', { name: 'New type' }).click()
    await page.getByLabel('Name').fill('Ledger')
    await page.getByLabel('Source table').fill('shop.customer')
    await page.getByLabel('Target table').fill('crm.contact')
    const group = (name) => page.getByRole('group', { name, exact: true })
    for (const [name, target, source] of [['Match', 'customer', 'id'], ['Columns', 'ctiy', 'city']]) {
        await group(name).getByRole('button', { name: 'Add a column' }).click()
        await group(name).getByLabel('Target column 1').fill(target)
        await group(name).getByLabel('Source 1').fill(source)
    }
    await page.getByLabel('Runs as the role').fill('crm_owner')
    await group('Columns').locator('.map-findings .finding.error', { hasText: 'ctiy' }).waitFor()
    assert.equal(await group('Columns').getByLabel('Target column 1').getAttribute('aria-invalid'), 'true')
    await page.getByLabel('Documents in a set job').fill('5000')
    await page.locator('[data-field=set_size] .finding').first().waitFor()
    await page.getByLabel('Documents in a set job').fill('500')
    await group('Columns').getByLabel('Target column 1').fill('city')
    await page.waitForFunction(() => !document.querySelector('.finding.error'))
    assert.equal(await sql("SELECT count(*) FROM sync_job_type WHERE name = 'Ledger'"), '0')
    // The form has all that a type has.
    const columns = await sql("SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'sync_job_type'::regclass AND attnum > 0 AND attname NOT IN ('paused', 'created_at', 'modified_at')")
    assert.equal(await page.evaluate(() => [...document.querySelectorAll('[data-field]')].map((field) => field.dataset.field).sort().join(' ')), columns)
    await page.getByRole('button', { name: 'Make the type' }).click()
    await page.getByRole('heading', { name: 'Ledger' }).waitFor()
    assert.equal(await sql("SELECT field_map || match || to_jsonb(set_size) FROM sync_job_type WHERE name = 'Ledger'"), '[{"city": "city", "customer": "id"}, 500]')

    await page.getByRole('link', { name: 'Change' }).click()
    await page.getByLabel('Priority').fill('7')
    await page.getByRole('button', { name: 'Save the changes' }).click()
    await page.getByRole('link', { name: 'History' }).click()
    await page.getByRole('row', { name: /priority.*0 → 7/ }).waitFor()
})

story('start a full sync, see its bar move, pause it and let it go on', async (person) => {
    const page = await person.open('anna', 'types/Contacts')
    await page.getByRole('button', { name: 'Full sync' }).click()
    await page.getByLabel('percent of the targets would change').fill('100')
    await page.getByLabel('Documents a second, at most').fill('100')
    await page.getByLabel('Documents in a transaction').fill('50')
    await page.getByRole('button', { name: 'Start the full sync' }).click()
    await page.getByRole('heading', { name: /Job #/ }).waitFor()
    const id = jobOf(page)
    await status(page, 'Started')
    const seen = new Set()
    await eventually(async () => {
        const value = await page.locator('main progress').first().getAttribute('value', { timeout: 1000 }).catch(() => null)
        if (value) seen.add(Number(value))
        return seen.size >= 3
    }, 'a bar that moves')
    const values = [...seen]
    assert.deepEqual(values, [...values].sort((a, b) => a - b))
    await page.getByRole('button', { name: 'Pause' }).click()
    await status(page, 'Pending')
    assert.ok(Number(await sql('SELECT count(*) FROM crm.contact')) < 3000)
    await page.getByRole('button', { name: 'Start' }).click()
    await status(page, 'Started')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByLabel('Reason').fill('the story ends here')
    await page.getByRole('button', { name: 'Cancel the job' }).click()
    await status(page, 'Canceled')
    assert.equal(await sql(`SELECT cancel_reason FROM sync_job WHERE id = ${id}`), 'the story ends here')
    await person.go('runs')
    await page.getByRole('row', { name: new RegExp(id) }).getByText('Canceled').waitFor()
})

story('pause and resume a queue and a type', async (person) => {
    const page = await person.open('otto', 'queues')
    await page.getByRole('button', { name: 'Pause long' }).click()
    await page.getByRole('row', { name: /^long/ }).getByText('paused').first().waitFor()
    assert.equal(await sql("SELECT paused FROM sync_job_queue WHERE name = 'long'"), 't')
    await page.getByRole('button', { name: 'Resume long' }).click()
    await page.getByRole('button', { name: 'Pause long' }).waitFor()
    await person.go('types/Contacts')
    await page.getByRole('button', { name: 'Pause', exact: true }).click()
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('button', { name: 'Pause', exact: true }).waitFor()
    assert.equal(await sql("SELECT paused FROM sync_job_type WHERE name = 'Contacts'"), 'f')
})

story('what a viewer may not do is not offered, and sent by hand it is refused', async (person) => {
    const page = await person.open('vera', 'jobs?status=Failed')
    await page.locator('table.jobs, .empty').first().waitFor()
    const failed = await sql("SELECT max(id) FROM sync_job WHERE status IN ('Failed', 'Finished')")
    const offered = async (what) => {
        await person.settled()
        const names = await page.locator('main button:not([aria-pressed])').allTextContents()
        const acting = names.filter((name) => /Retry|Rerun|Cancel|Delete|Start|Apply|Revert|Act on|Pause|Resume|Change|Full sync|Compare|Enqueue|Run now|Dry run/.test(name))
        assert.deepEqual(acting, [], what)
    }
    await offered('the list')
    assert.equal(await page.locator('input[type=checkbox]').count(), 0)
    for (const place of [`jobs/${failed}`, 'types', 'types/Contacts', 'queues', 'runs', 'schedules']) {
        await person.go(place)
        await offered(place)
    }
    assert.equal(await page.getByRole('link', { name: /New type|Change/ }).count(), 0)
    for (const [path, body] of [['types/Contacts/pause', {}], ['queues/long/pause', {}], ['types', { definition: { name: 'Mine' } }], ['types/Contacts/full-sync', {}]]) {
        const answer = await person.byHand('POST', path, body)
        assert.equal(answer.status, 403, `${path}: ${answer.text}`)
    }
    const outcome = await person.byHand('POST', 'jobs/cancel', { ids: [failed] })
    assert.match(outcome.text, /"code" ?: ?"(42501|55000)"|^\{"error"/)
    assert.equal(await sql("SELECT count(*) FROM sync_job_type WHERE paused AND name = 'Contacts'"), '0')
})

story('whoever has no level gets nothing of others, by hand neither', async (person) => {
    const page = await person.open('nora', 'jobs')
    await page.getByText('No job matches.').waitFor()
    const id = await sql('SELECT max(id) FROM sync_job')
    await person.go(`jobs/${id}`)
    await page.getByRole('alert').waitFor()
    await person.go('types')
    await person.settled()
    assert.doesNotMatch(await page.locator('main').textContent(), /crm_owner|A-\d|12,50/)
    for (const path of [`jobs/${id}`, `jobs/${id}/value?column=error_message`, `jobs/${id}/children`, `jobs/${id}/documents`, 'jobs/ids', 'jobs/count', 'runs', 'types/Contacts/findings']) {
        const { status, text } = await person.byHand('GET', path)
        assert.doesNotMatch(text, /12,50|A-\d|shop\.|crm_owner/, `${path}: ${status}`)
    }
})

story('a read-only console offers nothing, and says so', async (person) => {
    const server = await startConsole('--read-only')
    try {
        person.address = server.address
        const page = await person.open('anna', 'types/Contacts')
        await page.getByText('This console is read-only.').waitFor()
        await person.settled()
        assert.deepEqual(await page.locator('main').getByRole('button').allTextContents(), [])
        assert.equal((await person.byHand('POST', 'types/Contacts/pause', {})).status, 403)
        await page.goto('about:blank')
    } finally {
        await server.stop()
    }
})

story('script in a document, an error, a type, a diff is text', async (person) => {
    const page = await person.open('anna', `jobs?type=${encodeURIComponent('<script>window.pwned=1</script>')}`)
    const row = page.locator('table.jobs tbody tr').first()
    await row.waitFor()
    assert.match(await row.textContent(), /<script>window\.pwned=1<\/script>.*<img src=x onerror/)
    await row.getByRole('link').first().click()
    await page.getByText('the price of <b><img src=x').first().waitFor()
    for (const place of ['', 'types', `types/${encodeURIComponent('<script>window.pwned=1</script>')}`, 'freshness']) await person.go(place)
    const hostile = '<img src=x onerror="window.pwned=1">'
    await sql("INSERT INTO crm.contact (customer, name) VALUES (2800, 'before') ON CONFLICT (customer) DO NOTHING")
    await sql(`UPDATE shop.customer SET name = '${hostile}' WHERE id = 2800`)
    const id = await sql("SELECT enqueue_sync_job('Contacts', '2800')")
    await person.go(`jobs/${id}`)
    await page.locator('table.diff ins', { hasText: hostile }).waitFor()
    assert.equal(await page.evaluate(() => window.pwned), undefined)
    assert.equal(await page.locator('main img, main script').count(), 0)
})

story('what one does not see in a name or an error is shown, and turns nothing around', async (person) => {
    const page = await person.open('anna', 'jobs?status=Failed&error=turned')
    const row = page.locator('table.jobs tbody tr')
    await row.first().waitFor()
    assert.equal(await row.locator('td.title').evaluate((cell) => cell.firstChild.textContent), String.raw`in\u202egpj.exe\u200b`)
    await row.getByRole('link').first().click()
    await page.getByText(String.raw`turned \x1b[31m around`).first().waitFor()
    const shown = await page.evaluate(() => document.body.innerText)
    assert.doesNotMatch(shown, /[\u0000-\u0008\u000b-\u001f\u200b\u202e]/)
    // It is the name all the same that is asked for.
    await page.getByRole('link', { name: 'jobs of this document' }).click()
    await row.first().waitFor()
    assert.equal(decodeURIComponent(/document=([^&]*)/.exec(page.url())[1]), 'in\u202egpj.exe\u200b')
})

story('a list as CSV, in which nothing begins a formula', async (person) => {
    const page = await person.open('anna', 'jobs?document=%3D1%2B1')
    await page.locator('table.jobs tbody tr').first().waitFor()
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()])
    const text = await readFile(await file.path(), 'utf8')
    assert.match(text, /^id,sync_job_type,/)
    assert.match(text, /,"'=1\+1",/)
})

story('with the keyboard alone', async (person) => {
    const { page } = person
    await page.goto(person.address)
    await page.getByLabel('Role', { exact: true }).waitFor()
    await page.waitForFunction(() => document.activeElement?.getAttribute('name') === 'user')
    await page.keyboard.type('anna')
    await page.keyboard.press('Tab')
    await page.keyboard.type('secret')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.keyboard.press('g')
    await page.keyboard.press('j')
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    await page.locator('table.jobs tbody tr').first().waitFor()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.getByRole('region', { name: 'Selection' }).getByText('1 selected').waitFor()
    const second = await page.locator('table.jobs tbody tr').nth(1).getAttribute('data-job')
    await page.locator(`tr[data-job="${second}"] a`).first().focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: `Job #${second}` }).waitFor()
    await person.settled()
    await page.keyboard.press('d')
    await page.waitForFunction(() => document.documentElement.dataset.theme === 'light')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)), true)
})

story('sort a page of the list, and choose its columns: the address has all of it', async (person) => {
    const page = await person.open('anna', 'jobs?type=Orders')
    const heads = () => page.locator('table.jobs thead th').allTextContents().then((texts) => texts.map((text) => text.trim()).filter(Boolean))
    const column = (name) => page.locator(`table.jobs td[data-head="${name}"]`).allTextContents()
    await page.locator('table.jobs tbody tr').first().waitFor()
    assert.deepEqual(await heads(), ['Job', 'State', 'Type', 'Document', 'Operation', 'Created', 'Took'])
    await page.getByText('Columns', { exact: true }).click()
    const choice = page.getByRole('group', { name: 'Columns' })
    await choice.getByLabel('Took').uncheck()
    await choice.getByLabel('Runs as').check()
    await page.getByRole('columnheader', { name: 'Runs as' }).waitFor()
    assert.deepEqual(await heads(), ['Job', 'State', 'Type', 'Document', 'Operation', 'Runs as', 'Created'])
    assert.equal(new Set(await column('Runs as')).size, 1)
    await page.getByLabel('Jobs on a page').selectOption('100')
    await page.waitForFunction(() => document.querySelectorAll('table.jobs tbody tr').length === 100)
    const sort = async (link, direction) => {
        await page.getByRole('columnheader', { name: link }).getByRole('link').click()
        await page.locator(direction ? `th[aria-sort=${direction}]` : 'th:not([aria-sort])', { hasText: link }).waitFor()
        return (await column('Document')).map((text) => Number(/A-(\d+)/.exec(text)[1]))
    }
    const newest = await column('Job')
    const up = await sort('Document', 'ascending')
    assert.deepEqual(up, [...up].sort((a, b) => a - b))
    const down = await sort('Document', 'descending')
    assert.deepEqual(down, [...down].sort((a, b) => b - a))
    await page.getByText('Sorted within these 100 jobs').waitFor()
    // Somebody else, who gets the address, sees the same; the filters and the pages keep it.
    const address = page.url()
    assert.match(address, /columns=.*run_as.*/)
    assert.match(address, /sort=-document/)
    await page.goto('about:blank')
    await page.goto(address)
    await page.locator('th[aria-sort=descending]').waitFor()
    assert.equal(page.url(), address)
    await page.getByRole('link', { name: 'Older →' }).click()
    await page.getByRole('link', { name: '⇤ Newest' }).waitFor()
    await page.waitForFunction((id) => !document.querySelector(`tr[data-job="${id}"]`), newest[0].slice(1))
    await page.getByRole('link', { name: '⇤ Newest' }).click()
    await page.locator(`tr[data-job="${newest[0].slice(1)}"]`).waitFor()
    await sort('Document')
    assert.deepEqual(await column('Job'), newest)
    assert.ok((await heads()).includes('Runs as') && newest.length === 100)
})

story('what is written and not saved is not lost without a question', async (person) => {
    const page = await person.open('anna', 'types/Contacts')
    await page.getByRole('link', { name: 'Change' }).click()
    const box = page.getByLabel('Description')
    await box.click()
    await box.fill('half a sentence')
    const stays = async (leave) => {
        person.answers = [false]
        await leave()
        await eventually(() => person.answers.length === 0 && /#\/types\/Contacts\/form$/.test(page.url()), 'a question')
        assert.equal(await box.inputValue(), 'half a sentence')
    }
    await stays(() => page.evaluate(() => history.back()))
    await stays(() => page.getByRole('link', { name: 'Queues' }).click())
    await stays(() => page.getByRole('button', { name: 'Close' }).click())
    await stays(() => page.getByRole('button', { name: 'Log out' }).click())
    await stays(() => page.evaluate(() => void (location.href = 'about:blank')))
    person.answers = [true]
    await page.getByRole('link', { name: 'Queues' }).click()
    await page.getByRole('heading', { name: 'Queues' }).waitFor()
    // In a dialog, too. What is saved, or was not changed, asks nothing.
    await person.go('types/Contacts')
    await page.getByRole('button', { name: 'Full sync' }).click()
    await page.getByLabel('Documents a second, at most').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Full sync' }).click()
    await page.getByLabel('Documents a second, at most').fill('7')
    person.answers = [false]
    await page.keyboard.press('Escape')
    await eventually(() => person.answers.length === 0, 'a question')
    assert.equal(await page.getByLabel('Documents a second, at most').inputValue(), '7')
    person.answers = [true]
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await person.go('types/Contacts/form')
    await box.fill('a whole sentence')
    await page.getByRole('button', { name: 'Save the changes' }).click()
    await page.waitForFunction(() => /#\/types\/Contacts$/.test(location.hash))
    assert.equal(await sql("SELECT description FROM sync_job_type WHERE name = 'Contacts'"), 'a whole sentence')
    await page.getByRole('link', { name: 'Queues' }).click()
    await page.getByRole('heading', { name: 'Queues' }).waitFor()
})

story('the whole diff of a document of a set', async (person) => {
    await sql("INSERT INTO crm.contact (customer, name) VALUES (2901, 'before'), (2902, 'before') ON CONFLICT (customer) DO UPDATE SET name = 'before'")
    await sql("UPDATE shop.customer SET name = repeat('long ', 1000) || 'end of ' || id WHERE id IN (2901, 2902)")
    await sql("UPDATE sync_job_type SET set_size = 10 WHERE name = 'Contacts'")
    await sql("SELECT enqueue_sync_jobs('Contacts', ARRAY(SELECT n::text FROM generate_series(2901, 2910) AS n))")
    const id = await sql('SELECT max(id) FROM sync_job WHERE documents IS NOT NULL')
    await sql("UPDATE sync_job_type SET set_size = 1 WHERE name = 'Contacts'")
    await eventually(async () => (await sql(`SELECT status FROM sync_job WHERE id = ${id}`)) === 'Finished', 'the set')
    const page = await person.open('vera', `jobs/${id}`)
    const row = page.getByRole('table', { name: 'Documents' }).getByRole('row', { name: /2902/ })
    await row.getByRole('button', { name: 'Show all of it' }).click()
    await row.locator('table.diff').waitFor()
    assert.match(await row.locator('table.diff').textContent(), /before.*(long ){1000}end of 2902/)
})

story('a session that has ended asks to log in, and one is where one was, with what one was writing', async (person) => {
    const page = await person.open('anna', 'new-type')
    await page.getByLabel('Description').fill('half a sentence')
    await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'anna' AND application_name = 'sync-job serve'")
    await page.getByText('Your session has ended').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    await person.logIn('anna', 'wrong')
    await page.getByRole('dialog').getByRole('alert').waitFor()
    await person.logIn('anna')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.match(page.url(), /#\/new-type$/)
    assert.equal(await page.getByLabel('Description').inputValue(), 'half a sentence')
    // It is live again, too.
    person.answers = [true]
    await person.go('jobs')
    const id = await sql("SELECT enqueue_sync_job('Orders', 'A-4', '{\"price\": \"1\"}', queue_on_insert => false)")
    await page.locator(`tr[data-job="${id}"]`).waitFor()
    // Another person gets a page of his own.
    await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'anna' AND application_name = 'sync-job serve'")
    await page.getByText('Your session has ended').waitFor()
    await person.logIn('nora')
    await page.getByText('No job matches.').waitFor()
})

story('a hidden page asks nothing, and asks when it is seen again', async (person, { browser, address }) => {
    const page = await person.open('anna', 'jobs')
    await person.settled()
    const other = await Person.come(browser, address)
    const watching = await other.open('anna', 'jobs')
    const hide = (hidden) => page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
    const enqueue = async (shownBy) => {
        const id = await sql("SELECT enqueue_sync_job('Orders', 'A-3', '{\"price\": \"1\"}', queue_on_insert => false)")
        await shownBy.locator(`tr[data-job="${id}"]`).waitFor()
        return id
    }
    await enqueue(page)
    await enqueue(watching) // the page is about to ask for this, a second after the last
    await hide(true)
    await page.getByText('stopped').waitFor()
    let asked = 0
    page.on('request', (request) => void (asked += request.url().includes('/api/')))
    await enqueue(watching)
    const id = await enqueue(watching) // at the earliest a second later
    assert.equal(asked, 0)
    await hide(false)
    await page.locator(`tr[data-job="${id}"]`).waitFor()
    await other.leave()
})

story('times in UTC and in the zone of the browser', async (person) => {
    const id = await sql("SELECT min(id) FROM sync_job WHERE status = 'Finished'")
    const page = await person.open('anna', `jobs/${id}`)
    const time = page.locator('.timeline time').first()
    const at = new Date(await time.getAttribute('datetime'))
    const text = (hours) => new Date(at.getTime() + hours * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')
    await page.getByRole('button', { name: /^Times: local/ }).click()
    assert.equal(await time.textContent(), text(0))
    assert.ok((await time.getAttribute('title')).startsWith(`${text(0)} UTC`))
    await page.getByRole('button', { name: 'Times: UTC' }).click()
    await page.waitForFunction((wanted) => document.querySelector('.timeline time').textContent === wanted, text(5.5))
}, { timezoneId: 'Asia/Kolkata' })

const pages = ['', 'jobs', 'jobs?status=Failed&error=price', 'types', 'types/Contacts', 'types/Contacts/definition', 'types/Contacts/history', 'types/Contacts/export', 'types/Contacts/form', 'new-type',
    'queues', 'workers', 'runs', 'schedules', 'alerts', 'freshness', 'nowhere']
for (const [name, options] of Object.entries({
    'in light': { viewport: { width: 1400, height: 900 } }, 'in the dark': { viewport: { width: 800, height: 900 }, colorScheme: 'dark' },
    'on a small phone': { viewport: { width: 320, height: 640 }, hasTouch: true },
})) {
    story(`every page ${name}: axe finds nothing serious, nothing is too wide`, async (person) => {
        await person.page.goto(person.address)
        await person.page.getByLabel('Role', { exact: true }).waitFor()
        await person.inspect('log in')
        await person.logIn('anna')
        await person.settled()
        const jobs = (await sql("SELECT max(id) FROM sync_job WHERE status IN ('Failed', 'Finished', 'Queued') GROUP BY status")).split('\n')
        for (const place of [...pages, ...jobs.map((id) => `jobs/${id}`)]) {
            await person.go(place)
            await person.inspect(place)
        }
        await person.go('jobs')
        await person.page.getByRole('button', { name: 'Act on all that match' }).click()
        await person.page.getByRole('dialog').getByRole('group').waitFor()
        await person.inspect('acting on many')
    }, options)
}

// Taken at each run; ACCEPT=1 makes them those of the documentation.
story('pictures of the documentation', async (person) => {
    const page = await person.open('anna')
    const documentation = await readFile(`${process.env.CHECKOUT}/docs/console.md`, 'utf8')
    const picture = async (name) => {
        await person.settled()
        await page.screenshot({ path: `pictures/${name}.png` })
        assert.ok(documentation.includes(`images/console-${name}.png`), `docs/console.md shows no ${name}`)
    }
    await sql("UPDATE shop.customer SET city = 'Geneva', name = 'Customer One', account = 9007199254740995 WHERE id = 2")
    await sql("INSERT INTO crm.contact (customer, name, city, account) VALUES (2, 'Customer 2', 'Bern', 9007199254740994) ON CONFLICT DO NOTHING")
    const id = await sql("SELECT enqueue_sync_job('Contacts', '2', dry_run => true)")
    await eventually(async () => (await sql(`SELECT status FROM sync_job WHERE id = ${id}`)) === 'Finished', 'the dry run')
    await page.locator('.uplot canvas').waitFor()
    await picture('overview')
    await person.go('jobs?type=Orders')
    await page.locator('table.jobs').waitFor()
    await picture('jobs')
    await person.go(`jobs/${id}`)
    await page.locator('table.diff').waitFor()
    await picture('job')
    await person.go('types/Contacts/form')
    await page.getByRole('group', { name: 'Columns', exact: true }).getByLabel('Target column 2').fill('ctiy')
    await page.locator('.map-findings .finding.error').waitFor()
    await picture('form')
}, { viewport: { width: 1100, height: 720 } })

// ---- run them ----

const chosen = stories.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
if (chosen.length === 0) process.exit(77)
const server = await startConsole()
const browser = await startBrowser()
let failed = 0
for (const [index, { name, work, options }] of chosen.entries()) {
    const started = Date.now()
    const person = await Person.come(browser, server.address, options)
    try {
        await Promise.race([
            work(person, { browser, address: server.address }),
            new Promise((_, reject) => setTimeout(() => reject(new Error('it takes too long')), 4 * limit).unref()),
        ])
        await person.leave()
        console.log(`ok ${name} (${Date.now() - started} ms)`)
    } catch (error) {
        failed++
        console.log(`FAILED: ${name}: ${error.message}\n${error.stack}\n${person.faults.join('\n')}`)
        await person.page.screenshot({ path: `failed-${index}.png` }).catch(() => {})
        await person.context.close().catch(() => {})
    }
}
await browser.close()
await server.stop()
process.exit(failed ? 1 : 0)
