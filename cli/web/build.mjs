// Builds the pages: src/main.tsx and src/app.css become DIST/app.js and DIST/app.css, next to index.html. The same source and the pinned
// versions produce the same bytes, so a test can compare the committed pages with a new build.
//
//   node build.mjs [DIST]      dist, unless another folder is named
import { copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const folder = dirname(fileURLToPath(import.meta.url))
const dist = process.argv[2] ?? join(folder, 'dist')
const most = 300_000 // bytes of all files together

mkdirSync(dist, { recursive: true })
await build({
    absWorkingDir: folder,
    entryPoints: { app: 'src/main.tsx' },
    outdir: dist,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022'],
    charset: 'utf8',
    legalComments: 'none',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
})
copyFileSync(join(folder, 'src/index.html'), join(dist, 'index.html'))

const size = readdirSync(dist).reduce((sum, name) => sum + statSync(join(dist, name)).size, 0)
console.log(`${size} bytes in ${dist}`)
if (size > most) {
    console.error(`The pages are larger than ${most} bytes.`)
    process.exit(1)
}
