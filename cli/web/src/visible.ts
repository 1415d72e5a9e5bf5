// Makes invisible characters visible: control characters, and those that change the direction of a text or have no width. Somebody else may have put them into a
// name or an error, to make it look like another one. This is the one place for every text of a page; the command does the same for a terminal
// (cli/text/visible.cpp). Joiners within a word or an emoji stay, and so do tabs and line breaks: a page only lays them out.
import { Fragment, options } from 'preact'
import type { VNode } from 'preact'

const hidden =
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu

function escape(character: string): string {
    const point = character.codePointAt(0)!
    const digits = point.toString(16)
    if (point < 0x80) return `\\x${digits.padStart(2, '0')}`
    return point < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`
}

export const visible = (text: string): string => text.replace(hidden, escape)

function shown(child: unknown): unknown {
    if (typeof child === 'string') return visible(child)
    return Array.isArray(child) ? child.map(shown) : child
}

// Edited text is in a property, `value`, and stays as it is.
export function makeTextsVisible(): void {
    const before = options.vnode
    options.vnode = (vnode: VNode) => {
        if (typeof vnode.type === 'string' || vnode.type === Fragment) {
            const props = vnode.props as Record<string, unknown>
            for (const name of ['children', 'title', 'aria-label']) if (name in props) props[name] = shown(props[name])
        }
        before?.(vnode)
    }
}
