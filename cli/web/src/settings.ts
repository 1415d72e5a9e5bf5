// What the user has chosen, kept in the browser: the theme, the time zone, whether there are shortcuts. Components render again when it changes.
import { useEffect, useState } from 'preact/hooks'

export type Setting<T extends string> = { readonly name: string; value: T; watchers: Set<() => void>; set(value: T): void }

export function setting<T extends string>(name: string, initial: T): Setting<T> {
    const key = `sync-job-${name}`
    let value = initial
    try {
        value = (localStorage.getItem(key) as T | null) ?? initial
    } catch {
        // A browser may forbid storage: then the choice lasts as long as the page.
    }
    return {
        name,
        value,
        watchers: new Set(),
        set(next: T) {
            this.value = next
            try {
                localStorage.setItem(key, next)
            } catch {
                // as above
            }
            for (const watcher of this.watchers) watcher()
        },
    }
}

export function useSetting<T extends string>(chosen: Setting<T>): [T, (value: T) => void] {
    const [, draw] = useState(0)
    useEffect(() => {
        const watcher = () => draw((n) => n + 1)
        chosen.watchers.add(watcher)
        return () => void chosen.watchers.delete(watcher)
    }, [chosen])
    return [chosen.value, (value) => chosen.set(value)]
}

export const theme = setting<'system' | 'light' | 'dark'>('theme', 'system')
export const shortcuts = setting<'on' | 'off'>('shortcuts', 'on')

export function applyTheme(): void {
    if (theme.value === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
}
