/*
 * The sound requests. public.h says what each does.
 */

#pragma once

#include "ioctl.h"

MYFAULT_REQUEST MyFaultEcho;
MYFAULT_REQUEST MyFaultPend;
MYFAULT_REQUEST MyFaultRelease;
MYFAULT_REQUEST MyFaultQuery;
