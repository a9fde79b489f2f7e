/**
 * A Worker that captures what passes through it.
 *
 * @param worker What stands behind it: a Worker of your own. Without one, requests go to their origin.
 * @returns Handlers for `export default`; those of `worker` that it has no part in are as they were.
 */
export function capture<Env = unknown>(worker?: ExportedHandler<Env>): ExportedHandler<Env>;
