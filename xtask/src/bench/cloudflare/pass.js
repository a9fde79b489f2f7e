// What a Worker costs that does nothing: the measure for ours.
export default {
  fetch(request) {
    return fetch(request);
  },
};
