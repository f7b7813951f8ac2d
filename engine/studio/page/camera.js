// The user's own camera and microphone.

const REASONS = {
  NotAllowedError: "The camera is not allowed: allow it in the address bar",
  NotFoundError: "No camera was found",
  NotReadableError: "The camera is in use by another program",
};
const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // it is passed through as it is

/** The camera called `device` (empty: the browser's choice), with sound where there is a microphone. Throws an Error. */
export async function openCamera(device) {
  if (!navigator.mediaDevices) throw new Error("Browsers open the camera for https and localhost pages alone");
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  if (device) video.deviceId = { exact: device };
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio: SOUND });
  } catch {
    try {
      return await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera cannot be opened (${error.message})`);
    }
  }
}

/** Fills the list of cameras; their names are known once one was allowed. */
export async function listDevices(select, stream) {
  const own = stream.getVideoTracks()[0].getSettings().deviceId;
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  select.replaceChildren(
    ...cameras.map(({ deviceId, label }, index) => new Option(label || `Camera ${index + 1}`, deviceId, false, deviceId === own)),
  );
}
