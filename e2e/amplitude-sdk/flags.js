// flag is a local-evaluation flag; everybody gets the variant.
export const flag = (key, variant, metadata = {}) => ({
  key,
  metadata: { flagType: "experiment", flagVersion: 3, deployed: true, evaluationMode: "local", ...metadata },
  segments: [{ metadata: { segmentName: "All Users" }, variant }],
  variants: { off: { key: "off", metadata: { default: true } }, treatment: { key: "treatment", value: "treatment" } },
});
