// The frame around the pages: navigation, the user, how live the page is, and the keys.
import 'uplot/dist/uPlot.min.css'
import './app.css'
import { render } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { startLive, useLiveness } from './live.ts'
import { JobPage } from './pages/job.tsx'
import { JobsPage, listKey } from './pages/jobs.tsx'
import { AlertsPage, FreshnessPage, QueuesPage, SchedulesPage, WorkersPage } from './pages/lists.tsx'
import { LoginAgain, LoginPage } from './pages/login.tsx'
import { OverviewPage } from './pages/overview.tsx'
import { RunsPage } from './pages/runs.tsx'
import { TypePage } from './pages/type.tsx'
import { NewTypePage, TypesPage } from './pages/types.tsx'
import { type Route, go, href, useRoute } from './router.ts'
import { begin, logOut, useSession } from './session.ts'
import { applyTheme, shortcuts, theme, useSetting } from './settings.ts'
import { useClock, zone, zoneName } from './time.ts'
import { Button, Dialog, Heading, Messages, tell } from './ui.tsx'
import { mayLeave } from './unsaved.ts'
import { makeTextsVisible } from './visible.ts'

const places: [string, string, string][] = [
    ['', 'Overview', 'o'], ['jobs', 'Jobs', 'j'], ['types', 'Types', 't'], ['queues', 'Queues', 'q'], ['workers', 'Workers', 'w'],
    ['runs', 'Runs', 'r'], ['schedules', 'Schedules', 's'], ['alerts', 'Alerts', 'a'], ['freshness', 'Freshness', 'f'],
]

function Page({ route }: { route: Route }) {
    const [place = '', name] = route.path
    switch (place) {
        case '': return <OverviewPage />
        case 'jobs': return name ? <JobPage key={name} id={name} /> : <JobsPage route={route} />
        case 'types': return name ? <TypePage key={name} name={name} route={route} /> : <TypesPage route={route} />
        case 'new-type': return <NewTypePage />
        case 'queues': return <QueuesPage />
        case 'workers': return <WorkersPage />
        case 'runs': return <RunsPage />
        case 'schedules': return <SchedulesPage />
        case 'alerts': return <AlertsPage />
        case 'freshness': return <FreshnessPage />
        default: return <><Heading>Not found</Heading><p>There is no such page. <a href="#/">Overview</a></p></>
    }
}

const livenessText = { connecting: 'connecting …', live: 'live', polling: 'asks every 5 s', hidden: 'stopped', offline: 'the server does not answer; trying again …' }

function Liveness() {
    const liveness = useLiveness()
    return <span class={`liveness ${liveness}`} role="status"><span aria-hidden="true">●</span> {livenessText[liveness]}</span>
}

const themes = { system: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' }

export function nextTheme(): void {
    theme.set(theme.value === 'system' ? 'light' : theme.value === 'light' ? 'dark' : 'system')
    applyTheme()
}

function Settings({ onHelp }: { onHelp: () => void }) {
    const [shade] = useSetting(theme)
    const [where, setWhere] = useSetting(zone)
    return (
        <div class="settings">
            <Button kind="quiet" onClick={() => setWhere(where === 'UTC' ? 'local' : 'UTC')} title="Times in your zone, or in UTC">Times: {where === 'UTC' ? 'UTC' : `local (${zoneName()})`}</Button>
            <Button kind="quiet" onClick={nextTheme}>{themes[shade]}</Button>
            <Button kind="quiet" onClick={onHelp} aria-label="Keys and help">?</Button>
        </div>
    )
}

function Frame({ route }: { route: Route }) {
    const { info, phase } = useSession()
    const [help, setHelp] = useState(false)
    const main = useRef<HTMLElement>(null)
    const place = route.path[0] ?? ''
    useClock(15)
    useEffect(() => (phase === 'in' ? startLive() : undefined), [phase])
    useKeys(() => setHelp(true))
    const path = route.path.join('/')
    const first = useRef(true)
    useEffect(() => {
        if (!first.current) main.current?.focus({ preventScroll: true })
        first.current = false
        window.scrollTo(0, 0)
        document.querySelector('.top [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    }, [path])
    return (
        <>
            <header class="top">
                <a class="skip" href={location.hash} onClick={(e) => (e.preventDefault(), main.current?.focus())}>To the content</a>
                <nav aria-label="Main">
                    <a class="brand" href="#/">pg_sync_job</a>
                    {places.map(([path, label]) => <a key={path} href={href(path ? [path] : [])} aria-current={path === place ? 'page' : undefined}>{label}</a>)}
                </nav>
                <div class="who">
                    <Liveness />
                    <span><b>{info?.user}</b> on <b>{info?.database}</b> <span class="dim">{(info?.levels?.join(', ') || info?.level) ?? ''}{info?.superuser ? ' superuser' : ''}</span></span>
                    <Button kind="quiet" onClick={() => mayLeave() && void logOut()}>Log out</Button>
                </div>
            </header>
            {info?.standby && <p class="band" role="status">This server is a standby: nothing can be changed here, and jobs run on the primary.</p>}
            {info?.read_only && !info.standby && <p class="band" role="status">This console is read-only.</p>}
            <main id="main" ref={main} tabIndex={-1}><Page route={route} /></main>
            <footer>
                <Settings onHelp={() => setHelp(true)} />
                <span class="dim">pg_sync_job {info?.extension_version} · PostgreSQL {info?.server_version}</span>
            </footer>
            {help && <Help onClose={() => setHelp(false)} />}
        </>
    )
}

// One key, or g and a second one; never while somebody writes.
function useKeys(onHelp: () => void): void {
    const [keys] = useSetting(shortcuts)
    useEffect(() => {
        if (keys === 'off') return
        let leader = 0
        const press = (e: KeyboardEvent) => {
            const target = e.target as HTMLElement
            if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
            if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== 'checkbox') return
            const place = places.find(([, , key]) => key === e.key)
            if (Date.now() - leader < 1500 && place) go(href(place[0] ? [place[0]] : []))
            else if (e.key === '?') onHelp()
            else if (e.key === '/') document.querySelector<HTMLElement>('[role=search] input')?.focus()
            else if (e.key === 'd') nextTheme()
            else if (e.key !== 'g' && !listKey(e.key)) return
            leader = e.key === 'g' ? Date.now() : 0
            e.preventDefault()
        }
        window.addEventListener('keydown', press)
        return () => window.removeEventListener('keydown', press)
    }, [keys])
}

function Help({ onClose }: { onClose: () => void }) {
    const [keys, setKeys] = useSetting(shortcuts)
    const list: [string, string][] = [
        ...places.map(([, label, key]): [string, string] => [`g ${key}`, label]),
        ['/', 'to the filter'], ['j, k', 'next, previous job of the list'], ['x', 'select the job'], ['n', 'older jobs'], ['d', 'light, dark, as the system'], ['?', 'this help'],
    ]
    return (
        <Dialog title="Keys" onClose={onClose}>
            <dl class="facts keys">{list.map(([key, what]) => <><dt key={key}>{key.split(/[ ,]+/).map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what}</dd></>)}</dl>
            <div class="tools"><Button onClick={() => (setKeys(keys === 'on' ? 'off' : 'on'), tell(keys === 'on' ? 'Keys are off.' : 'Keys are on.'))}>{keys === 'on' ? 'Switch the keys off' : 'Switch the keys on'}</Button></div>
        </Dialog>
    )
}

// When the session has ended, the page stays below the log-in, so that the same user can go on.
function App() {
    const { phase, ended, info } = useSession()
    const route = useRoute()
    return (
        <>
            {info && (phase === 'in' || ended) && <Frame key={`${info.user} ${info.database}`} route={route} />}
            {phase === 'out' && (ended ? <LoginAgain /> : <LoginPage />)}
            {phase === 'unknown' && <p class="dim" aria-busy="true">Loading …</p>}
            <Messages />
        </>
    )
}

applyTheme()
makeTextsVisible()
render(<App />, document.getElementById('app')!)
void begin()
