// What the stories have in common: a server of their own, people who log in with a real Chromium, statements of a superuser, conditions that are waited for.
import { execFile, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const run = promisify(execFile)
export const limit = 90_000 // ms until something that must happen has not happened
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// What psql prints, as a superuser.
export async function sql(statement) {
    const { stdout } = await run('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', 'stories', '-c', statement], { maxBuffer: 1 << 26 })
    return stdout.trim()
}

export async function eventually(condition, what) {
    const end = Date.now() + limit
    for (;;) {
        const value = await condition()
        if (value) return value
        if (Date.now() > end) throw new Error(`not within ${limit / 1000} s: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
    }
}

export async function startConsole(...options) {
    const command = ['serve', '--host', process.env.PGHOST, '--port', process.env.PGPORT, '--databases', 'stories', '--listen', '127.0.0.1:0', ...options]
    const server = spawn(process.env.SYNC_JOB, command, { stdio: ['ignore', 'pipe', 'inherit'] })
    const line = await new Promise((resolve) => {
        createInterface(server.stdout).once('line', resolve)
        server.once('exit', () => resolve('it has ended'))
    })
    const address = /^The console is at (http:.*\/)$/.exec(line)?.[1]
    if (!address) throw new Error(`the console does not start: ${line}`)
    return { address, stop: () => new Promise((resolve) => (server.once('exit', resolve), server.kill())) }
}

// --no-sandbox: the suite runs as an ordinary user, perhaps in a container, where Chromium may not make its own.
export const startBrowser = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] })

// Somebody before a browser. What the console of the browser says that is wrong (a script that the policy stops, an exception) is a fault of the page.
export class Person {
    static async come(browser, address, options = {}) {
        const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'UTC', locale: 'en-GB', reducedMotion: 'reduce', ...options })
        const person = new Person()
        Object.assign(person, { context, address, page: await context.newPage(), faults: [], answers: [] })
        const { page } = person
        page.setDefaultTimeout(limit)
        page.on('pageerror', (error) => person.faults.push(error.stack))
        // Whether to leave what is not saved: answered as the story says, and otherwise nothing asks.
        page.on('dialog', (dialog) => {
            const leave = person.answers.shift()
            if (leave === undefined) person.faults.push(`a dialog: ${dialog.message()}`)
            void (leave ? dialog.accept() : dialog.dismiss())
        })
        page.on('console', (message) => {
            // A refusal that is asked for is told there, too.
            if (message.type() === 'error' && !/status of (400|401|403|404|409|503)|favicon|ERR_ABORTED/.test(message.text())) person.faults.push(message.text())
        })
        return person
    }

    async logIn(role, password = 'secret') {
        // There may be a page below it.
        const form = this.page.locator('form', { has: this.page.getByLabel('Password') })
        await form.getByLabel('Role').fill(role)
        await form.getByLabel('Password').fill(password)
        await form.getByRole('button', { name: 'Log in' }).click()
    }

    // To a place, logged in.
    async open(role, place = '') {
        await this.page.goto(`${this.address}#/${place}`)
        await this.logIn(role)
        await this.page.locator('main h1').waitFor()
        return this.page
    }

    // What whoever is logged in may send without the pages.
    byHand(method, path, body) {
        return this.page.evaluate(async ([method, path, body]) => {
            const headers = { 'Content-Type': 'application/json', 'X-Sync-Job-Token': sessionStorage.getItem('sync-job-token') }
            const answer = await fetch(`api/${path}`, { method, headers, body: body && JSON.stringify(body) })
            return { status: answer.status, text: await answer.text() }
        }, [method, path, body])
    }

    async go(place) {
        await this.page.evaluate((hash) => void (location.hash = hash), `#/${place}`)
        await this.settled()
    }

    async settled() {
        await this.page.locator('main h1').waitFor()
        await this.page.waitForFunction(() => !document.querySelector('main [aria-busy=true]'))
    }

    // What axe finds serious, and whether the page is wider than its window.
    async inspect(what) {
        await this.page.evaluate(axe)
        const found = await this.page.evaluate(async () => {
            const { violations } = await window.axe.run(document)
            return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3).join(' | ')}`)
        })
        const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        if (wide > 0) found.push(`it is ${wide} pixels too wide`)
        if (found.length) throw new Error(`${what}: ${found.join('\n')}`)
    }

    async leave() {
        await this.context.close()
        if (this.faults.length) throw new Error(`the browser says: ${this.faults.join('\n')}`)
    }
}
