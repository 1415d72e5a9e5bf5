// Times as people read them, in the zone of the browser or in UTC, and how long things take.
import { useEffect, useState } from 'preact/hooks'
import { setting } from './settings.ts'

export const zone = setting<'local' | 'UTC'>('zone', 'local')

const formats = new Map<string, Intl.DateTimeFormat>()

function parts(date: Date, utc: boolean): Record<string, string> {
    const key = utc ? 'UTC' : 'local'
    let format = formats.get(key)
    if (!format) {
        format = new Intl.DateTimeFormat('en-GB', {
            year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
            timeZone: utc ? 'UTC' : undefined, timeZoneName: 'shortOffset',
        })
        formats.set(key, format)
    }
    return Object.fromEntries(format.formatToParts(date).map((part) => [part.type, part.value]))
}

// 2026-11-29 02:31:15; `infinity`, and what is not a time, stays as it is.
export function formatTime(text: string, utc = zone.value === 'UTC'): string {
    const date = new Date(text)
    if (Number.isNaN(date.getTime())) return text
    const p = parts(date, utc)
    return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`
}

export const zoneName = (): string => (zone.value === 'UTC' ? 'UTC' : (parts(new Date(), false).timeZoneName ?? 'local'))

export function span(seconds: number): string {
    const s = Math.abs(seconds)
    if (s < 1) return `${Math.round(s * 1000)} ms`
    if (s < 10) return `${s.toFixed(1)} s`
    if (s < 120) return `${Math.round(s)} s`
    if (s < 7200) return `${Math.round(s / 60)} min`
    if (s < 172800) return `${Math.round(s / 3600)} h`
    return `${Math.round(s / 86400)} days`
}

// The server's clock minus the browser's, in ms: ages are relative to the server's.
let skew = 0
export const setServerTime = (now: string): void => {
    const time = new Date(now).getTime()
    if (!Number.isNaN(time)) skew = time - Date.now()
}
export const serverNow = (): number => Date.now() + skew

export function relative(text: string, now = serverNow()): string {
    const time = new Date(text).getTime()
    if (Number.isNaN(time)) return text
    const seconds = (now - time) / 1000
    if (Math.abs(seconds) < 1) return 'now'
    return seconds > 0 ? `${span(seconds)} ago` : `in ${span(seconds)}`
}

// An interval of PostgreSQL, `1 day 02:03:04.5`, in seconds; null if it is none. A month has 30 days.
export function intervalSeconds(text: string | null | undefined): number | null {
    if (!text) return null
    let seconds = 0
    let found = false
    const units: Record<string, number> = { year: 31557600, mon: 2592000, day: 86400 }
    for (const [, count, unit] of text.matchAll(/([+-]?\d+) (year|mon|day)s?/g)) {
        seconds += Number(count) * units[unit!]!
        found = true
    }
    const clock = /([+-])?(\d+):(\d+):(\d+(?:\.\d+)?)/.exec(text)
    if (clock) {
        const value = Number(clock[2]) * 3600 + Number(clock[3]) * 60 + Number(clock[4])
        seconds += clock[1] === '-' ? -value : value
        found = true
    }
    return found ? seconds : null
}

export function formatInterval(text: string | null | undefined): string {
    const seconds = intervalSeconds(text)
    return seconds === null ? (text ?? '') : span(seconds)
}

// Renders again every few seconds, so that ages on the page stay correct; not while the page is hidden.
export function useClock(seconds: number): void {
    const [, tick] = useState(0)
    useEffect(() => {
        const timer = setInterval(() => document.hidden || tick((n) => n + 1), seconds * 1000)
        return () => clearInterval(timer)
    }, [seconds])
}

// Converts the value of a form's `datetime-local`, in the chosen zone, to an ISO time; and back.
export function fromInput(text: string): string {
    if (!text) return ''
    const date = new Date(zone.value === 'UTC' ? `${text}Z` : text)
    return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}
export function toInput(text: string | null | undefined): string {
    if (!text || Number.isNaN(new Date(text).getTime())) return ''
    return formatTime(text).replace(' ', 'T').slice(0, 16)
}
