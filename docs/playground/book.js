// The book runs: what chapters.js adds to a page. The book reads as well without it. mdBook puts this file, whose name it changes, into
// docs/playground of the book, and the others into playground.
import(document.currentScript.src.replace(/(docs\/)?playground\/[^/]*$/, "playground/chapters.js"));
