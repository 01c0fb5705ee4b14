// Builds web/dist: file names without hashes, so that the committed bundle changes in place. The
// server sends an entity tag with each file instead. The base is relative: the page works under any
// prefix (`--api-prefix`).
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    // No data: URLs for scripts or fonts, and nothing inserted into index.html as text: the page's
    // Content-Security-Policy allows neither.
    assetsInlineLimit: 0,
    modulePreload: false,
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "page[extname]",
      },
    },
  },
});
