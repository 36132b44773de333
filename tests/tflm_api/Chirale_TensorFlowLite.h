/* The library's header is as empty: it makes Arduino find the others. */
