// Where the dashboard is: on this machine alone.
export const HOST = '127.0.0.1';
/** Where none is asked for, this one or one of the next. */
export const PORT = 7077;
