import { capture } from "../silhouette/capture.js";

// What you have already, wrapped: its answers go to clients as they are, and are captured on the way.
export default capture({
  async fetch(request) {
    const book = new URL(request.url).pathname.match(/^\/books\/(\d+)$/);
    if (!book) {
      return Response.json({ error: "no such page" }, { status: 404 });
    }
    return Response.json({ id: Number(book[1]), title: "Emma", pages: 474 });
  },
});
