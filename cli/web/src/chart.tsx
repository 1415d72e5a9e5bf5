// Jobs that ended, per minute, over the last hour; failures have a line of their own. The numbers are also shown as a table.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { theme, useSetting } from './settings.ts'
import { formatTime, serverNow, zone } from './time.ts'
import { Table } from './ui.tsx'

export type Minute = { at: string; ended: number; failed: number }

// A row for each of the last 60 minutes; 0 for a minute in which nothing ended.
export function minutes(rows: Minute[], now = serverNow()): Minute[] {
    const known = new Map(rows.map((row) => [Math.floor(new Date(row.at).getTime() / 60_000), row]))
    const last = Math.floor(now / 60_000)
    return Array.from({ length: 60 }, (_, i) => {
        const minute = last - 59 + i
        return known.get(minute) ?? { at: new Date(minute * 60_000).toISOString(), ended: 0, failed: 0 }
    })
}

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

export function Throughput({ rows }: { rows: Minute[] }) {
    const box = useRef<HTMLDivElement>(null)
    const plot = useRef<uPlot | null>(null)
    const [shade] = useSetting(theme)
    const [where] = useSetting(zone)
    const data = minutes(rows)
    const series: uPlot.AlignedData = [data.map((m) => new Date(m.at).getTime() / 1000), data.map((m) => m.ended), data.map((m) => m.failed)]
    useEffect(() => {
        const element = box.current!
        const axis = { stroke: color('--dim'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') }, font: '11px system-ui' }
        plot.current = new uPlot({
            width: element.clientWidth || 600, height: 180,
            tzDate: (ts) => (where === 'UTC' ? uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC') : new Date(ts * 1000)),
            legend: { show: false },
            cursor: { y: false },
            scales: { y: { range: (_, __, max) => [0, Math.max(4, max * 1.1)] } },
            axes: [{ ...axis, values: (_, splits) => splits.map((s) => formatTime(new Date(s * 1000).toISOString()).slice(11, 16)) }, { ...axis, size: 44 }],
            series: [{}, { stroke: color('--accent'), width: 2, fill: color('--accent-soft'), points: { show: false } }, { stroke: color('--bad'), width: 2, dash: [4, 3], points: { show: false } }],
        }, series, element)
        const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: 180 }))
        observer.observe(element)
        const scheme = matchMedia('(prefers-color-scheme: dark)')
        const redraw = () => plot.current?.redraw()
        scheme.addEventListener('change', redraw)
        return () => {
            scheme.removeEventListener('change', redraw)
            observer.disconnect()
            plot.current?.destroy()
        }
    }, [shade, where])
    useEffect(() => plot.current?.setData(series), [JSON.stringify(data)])
    const sum = data.reduce((total, m) => total + m.ended, 0)
    const failed = data.reduce((total, m) => total + m.failed, 0)
    return (
        <figure class="chart">
            <div ref={box} role="img" aria-label={`${sum} jobs have ended in the last hour, ${failed} attempts have failed`} />
            <figcaption><span class="line accent" aria-hidden="true" /> ended <b class="number">{sum.toLocaleString('en-US')}</b> <span class="line bad" aria-hidden="true" /> failed <b class="number">{failed.toLocaleString('en-US')}</b> in the last hour, per minute</figcaption>
            <details>
                <summary>As a table</summary>
                <Table caption="Jobs per minute" rows={data.filter((m) => m.ended || m.failed).reverse()} id={(m) => m.at} empty="Nothing has ended." columns={[
                    { name: 'Minute', cell: (m) => formatTime(m.at).slice(0, 16) }, { name: 'Ended', numeric: true, cell: (m) => m.ended }, { name: 'Failed', numeric: true, cell: (m) => m.failed },
                ]} />
            </details>
        </figure>
    )
}
