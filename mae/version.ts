// Which Tesserae this is: the version of package.json, which a test holds it to. Browsers have no file to read it from.
export const VERSION = '0.1.0';
