// The Worker as it is deployed: everything that comes goes to the origin, and what passes is captured.
import { capture } from "./capture.js";

export default capture();
