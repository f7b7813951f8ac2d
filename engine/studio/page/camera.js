// The user's own camera and microphone.

const REASONS = {
  NotAllowedError: "The camera is not allowed: allow it in the address bar",
  NotFoundError: "No camera was found",
  NotReadableError: "The camera is in use by another program",
};
const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // it is passed through as it is

const DEFAULT = [640, 480];

/** What to ask a camera for, to be painted in `size` ([width, height]; null: as it comes). */
function wished(size) {
  const [width, height] = size ?? DEFAULT;
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
}

/** Has the camera that is open send `size`, or what is nearest. */
export async function resize(stream, size) {
  await stream.getVideoTracks()[0].applyConstraints(wished(size)).catch(() => {}); // then the studio scales what comes
}

/** The camera called `device` (empty: the browser's choice), with sound where there is a microphone. Throws an Error. */
export async function openCamera(device, size) {
  if (!navigator.mediaDevices) throw new Error("Browsers open the camera for https and localhost pages alone");
  const video = wished(size);
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
