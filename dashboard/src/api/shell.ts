// Texts as words of commands that people copy into a POSIX shell: whoever gave an image its name must not say what the shell does.

/** In quotes, always. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** As it is where the shell takes nothing apart, else in quotes. */
export const shellWord = (text: string): string => (/^[\w.:/@%+=-]+$/.test(text) ? text : quoted(text))
